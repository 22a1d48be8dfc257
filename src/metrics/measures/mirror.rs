//! The scores of papers on mirrors, as HetNet's evaluation script (He, Lin and Lau, "Efficient mirror detection via
//! multi-level heterogeneous learning", AAAI 2023) and the papers around it compute them.
//!
//! Only 255 in the mask is mirror. Where the script divides 0 by 0, a score stands here: IoU is 0 where neither the map
//! nor the mask has a pixel, and a prediction of a single level is not stretched.

use super::f_measure::BETA_SQUARED;
use super::iou::iou;
use crate::metrics::confusion::Confusion;
use crate::metrics::levels::Histogram;
use crate::metrics::metric::{Measure, Pair};

/// The script's guard against empty maps and masks, added above and below each fraction line.
const GUARD: f64 = 1e-4;

/// Sums over pairs.
pub(crate) struct Mirror {
    /// IoU of the unstretched prediction at 127.5 and above.
    iou: f64,
    /// Mean absolute error of the stretched prediction.
    absolute_error: f64,
    /// At "above 0", "above 1/255", ..., "above 1".
    precision: [f64; 256],
    recall: [f64; 256],
}

impl Default for Mirror {
    fn default() -> Self {
        Self { iou: 0.0, absolute_error: 0.0, precision: [0.0; 256], recall: [0.0; 256] }
    }
}

impl Measure<3> for Mirror {
    const TITLE: &'static str = "IoU above 127, highest F of mean precision and recall, mean absolute error; mirrors are 255 (He et al., AAAI 2023)";
    const KEYS: [&'static str; 3] = ["mirrorIoU", "mirrorF", "mirrorMAE"];
    const FOR_EVERY_TASK: bool = false;

    fn add(&mut self, pair: &Pair<'_>) {
        let levels = &pair.counts.all;
        let mirror = &pair.counts.levels.full;
        let rest: Histogram = std::array::from_fn(|level| levels[level] - mirror[level]);
        self.iou += iou(&Confusion::where_level(mirror, &rest, |level| level >= 128));

        let stretched = stretched(levels);
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

    fn scores(&self, pairs: f64) -> [f64; 3] {
        let f_measures = self.precision.iter().zip(&self.recall).map(|(precision, recall)| {
            let (precision, recall) = (precision / pairs, recall / pairs);
            (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
        });
        [self.iou / pairs, f_measures.fold(f64::NAN, f64::max), self.absolute_error / pairs]
    }
}

/// Each level's value after the stretch, in the script's single precision.
fn stretched(levels: &Histogram) -> [f32; 256] {
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
    use super::*;
    use crate::metrics::counts::Counts;
    use crate::metrics::levels::Levels;
    use approx::assert_abs_diff_eq;

    /// IoU, F and MAE of predictions and masks.
    fn of_pairs(pairs: &[(&[u8], &[u8])]) -> [f64; 3] {
        let mut sums = Mirror::default();
        for (prediction, mask) in pairs {
            let levels = Levels::count(prediction, mask);
            sums.add(&Pair { counts: &Counts::of(&levels, 0.5), of_maps: f64::NAN });
        }
        sums.scores(pairs.len() as f64)
    }

    fn mirror(prediction: &[u8], mask: &[u8]) -> [f64; 3] {
        of_pairs(&[(prediction, mask)])
    }

    #[test]
    fn by_hand() {
        // stretched: 0, 1/2, 1; mirror is the last two pixels, 254 is not
        let [iou, f_measure, mae] = mirror(&[100, 150, 200, 200], &[254, 0, 255, 255]);
        assert_abs_diff_eq!(mae, 0.5 / 4.0, epsilon = 1e-15);
        // the unstretched prediction at 127.5: three pixels found, two of them mirror
        assert_abs_diff_eq!(iou, 2.0 / 3.0, epsilon = 1e-15);
        // above 127/255: both mirror pixels and nothing else
        assert_abs_diff_eq!(f_measure, 1.0, epsilon = 1e-15);
    }

    #[test]
    fn f_is_of_the_mean_precision_and_recall() {
        let [_, f_measure, _] = of_pairs(&[(&[255, 0], &[255, 0]), (&[0, 255], &[255, 0])]);
        // precision and recall of the wrong map: 1e-4 / 1.0001; at threshold 1 nothing is found, both precisions are 1
        let wrong = GUARD / (1.0 + GUARD);
        let low = (1.0 + wrong) / 2.0;
        let f = |p: f64, r: f64| 1.3 * p * r / (0.3 * p + r);
        assert_abs_diff_eq!(f_measure, f(low, low).max(f(1.0, wrong)), epsilon = 1e-15);
    }

    #[test]
    fn defined_where_the_script_is_not() {
        let [iou, _, mae] = mirror(&[0, 0], &[0, 0]);
        assert_eq!((iou, mae), (0.0, 0.0));
        let [_, _, flat] = mirror(&[51, 51], &[255, 0]);
        assert_abs_diff_eq!(flat, 0.5, epsilon = 1e-7);
    }
}
