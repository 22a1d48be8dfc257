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
const GUARD: f64 = 1e-4;

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

#[cfg(test)]
mod tests {
    use super::super::{Summary, score_pair};
    use super::*;
    use approx::assert_abs_diff_eq;

    fn mirror(prediction: &[u8], mask: &[u8]) -> MirrorScores {
        let scores = score_pair(prediction, mask, mask.len(), 1).expect("a valid pair");
        Summary::from(&scores).mirror()
    }

    #[test]
    fn by_hand() {
        // stretched: 0, 1/2, 1; mirror is the last two pixels, 254 is not
        let scores = mirror(&[100, 150, 200, 200], &[254, 0, 255, 255]);
        assert_abs_diff_eq!(scores.mae, 0.5 / 4.0, epsilon = 1e-15);
        // the unstretched prediction at 127.5: three pixels found, two of them mirror
        assert_abs_diff_eq!(scores.iou, 2.0 / 3.0, epsilon = 1e-15);
        // above 127/255: both mirror pixels and nothing else
        assert_abs_diff_eq!(scores.f_measure, 1.0, epsilon = 1e-15);
    }

    #[test]
    fn f_is_of_the_mean_precision_and_recall() {
        let all = score_pair(&[255, 0], &[255, 0], 2, 1).expect("a valid pair");
        let none = score_pair(&[0, 255], &[255, 0], 2, 1).expect("a valid pair");
        let f_measure = Summary::of(&[all, none]).mirror().f_measure;
        // precision and recall of the wrong map: 1e-4 / 1.0001; at threshold 1 nothing is found, both precisions are 1
        let wrong = GUARD / (1.0 + GUARD);
        let low = (1.0 + wrong) / 2.0;
        let f = |p: f64, r: f64| 1.3 * p * r / (0.3 * p + r);
        assert_abs_diff_eq!(f_measure, f(low, low).max(f(1.0, wrong)), epsilon = 1e-15);
    }

    #[test]
    fn defined_where_the_script_is_not() {
        let nothing = mirror(&[0, 0], &[0, 0]);
        assert_eq!((nothing.iou, nothing.mae), (0.0, 0.0));
        let flat = mirror(&[51, 51], &[255, 0]);
        assert_abs_diff_eq!(flat.mae, 0.5, epsilon = 1e-7);
    }
}
