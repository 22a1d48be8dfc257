//! The scores of papers on mirrors.

use super::confusion::{BETA_SQUARED, Confusion};
use super::pair::PairScores;

/// The scores as HetNet's evaluation script (He, Lin and Lau, AAAI 2023) and the mirror papers around it compute them.
///
/// Only 255 in the mask is mirror. Where the script divides 0 by 0, a score stands here: IoU is 0 where neither the map
/// nor the mask has a pixel, and a prediction of a single level is not stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MirrorScores {
    /// Mean over images of the IoU of the unstretched prediction at 127.5 and above.
    pub iou: f64,
    /// The highest F (beta^2 0.3) over 256 thresholds, from the set's mean precision and recall at each.
    pub f_measure: f64,
    /// Mean over images of the mean absolute error of the stretched prediction.
    pub mae: f64,
}

impl MirrorScores {
    /// The scores' names, in the order of [`MirrorScores::values`].
    pub const KEYS: [&str; 3] = ["mirrorIoU", "mirrorF", "mirrorMAE"];

    /// Each score with its name.
    pub fn values(&self) -> [(&'static str, f64); 3] {
        let [iou, f_measure, mae] = Self::KEYS;
        [(iou, self.iou), (f_measure, self.f_measure), (mae, self.mae)]
    }
}

/// The script's guard against empty maps and masks, added above and below each fraction line.
pub(super) const GUARD: f64 = 1e-4;

/// Running sums over pairs.
pub(super) struct MirrorSums {
    pairs: usize,
    iou: f64,
    absolute_error: f64,
    /// At "above 0", "above 1/255", ..., "above 1".
    precision: [f64; 256],
    recall: [f64; 256],
}

impl Default for MirrorSums {
    fn default() -> Self {
        Self { pairs: 0, iou: 0.0, absolute_error: 0.0, precision: [0.0; 256], recall: [0.0; 256] }
    }
}

impl MirrorSums {
    pub(super) fn add(&mut self, pair: &PairScores) {
        let levels = pair.levels();
        let mirror = &pair.full;
        let rest: [u32; 256] = std::array::from_fn(|level| levels[level] - mirror[level]);
        self.pairs += 1;
        self.iou += Confusion::where_level(mirror, &rest, |level| level >= 128).iou();

        let stretched = stretched(&levels);
        let (mut error, mut pixels, mut mirror_pixels) = (0.0, 0.0, 0.0);
        // pixels whose stretched level, cut to a whole 255th, is this: of mirror, of all
        let mut at = [(0.0, 0.0); 256];
        for level in (0..256).filter(|&level| levels[level] > 0) {
            let (on, off) = (f64::from(mirror[level]), f64::from(rest[level]));
            let value = stretched[level];
            error += on * (1.0 - f64::from(value)) + off * f64::from(value);
            pixels += on + off;
            mirror_pixels += on;
            let cut = &mut at[usize::from((255.0 * value) as u8)];
            *cut = (cut.0 + on, cut.1 + on + off);
        }
        self.absolute_error += error / pixels;

        let (mut hit, mut found) = (0.0, 0.0);
        for threshold in (0..256).rev() {
            self.precision[threshold] += (hit + GUARD) / (found + GUARD);
            self.recall[threshold] += (hit + GUARD) / (mirror_pixels + GUARD);
            // strictly above: this threshold's own pixels count from the next lower one on
            hit += at[threshold].0;
            found += at[threshold].1;
        }
    }

    pub(super) fn scores(&self) -> MirrorScores {
        let pairs = self.pairs as f64;
        let f_measures = self.precision.iter().zip(&self.recall).map(|(precision, recall)| {
            let (precision, recall) = (precision / pairs, recall / pairs);
            (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
        });
        MirrorScores {
            iou: self.iou / pairs,
            f_measure: f_measures.fold(f64::NAN, f64::max),
            mae: self.absolute_error / pairs,
        }
    }
}

/// Each level's value after the stretch, in the script's single precision.
fn stretched(levels: &[u32; 256]) -> [f32; 256] {
    let lowest = levels.iter().position(|&n| n > 0).unwrap_or(0);
    let highest = levels.iter().rposition(|&n| n > 0).unwrap_or(0);
    std::array::from_fn(|level| {
        if lowest == highest {
            level as f32 / 255.0
        } else {
            (level as f32 - lowest as f32) / (highest as f32 - lowest as f32)
        }
    })
}
