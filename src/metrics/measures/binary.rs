//! Dice and IoU of the binary map: the stretched prediction above 0.5.

use super::dice::dice;
use super::iou::iou;
use crate::metrics::confusion::Confusion;
use crate::metrics::metric::{Measure, Pair};

/// Sums over pairs of the binary map's scores, and of its counts.
#[derive(Default)]
pub(crate) struct Binary {
    dice: f64,
    iou: f64,
    overall: Confusion,
}

impl Measure<4> for Binary {
    const TITLE: &'static str =
        "Dice and IoU of the prediction above 0.5: mean over images, and of all pixels of the set (as PySODMetrics)";
    const KEYS: [&'static str; 4] = ["sample_bidice", "sample_biiou", "overall_bidice", "overall_biiou"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.dice += dice(&pair.counts.binary);
        self.iou += iou(&pair.counts.binary);
        self.overall.add(pair.counts.binary);
    }

    fn scores(&self, pairs: f64) -> [f64; 4] {
        // of no pixels at all the formulas make 0
        let overall = |score: f64| if pairs == 0.0 { f64::NAN } else { score };
        [self.dice / pairs, self.iou / pairs, overall(dice(&self.overall)), overall(iou(&self.overall))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::counts::Counts;
    use crate::metrics::levels::Levels;

    #[test]
    fn overall_scores_add_counts_and_sample_scores_average() {
        let mut sums = Binary::default();
        for (prediction, mask) in [([255, 0, 0, 0], [255, 0, 0, 0]), ([0, 0, 0, 255], [255, 255, 255, 0])] {
            let levels = Levels::count(&prediction, &mask);
            sums.add(&Pair { counts: &Counts::of(&levels, 0.5), of_maps: f64::NAN });
        }
        assert_eq!(sums.scores(2.0), [0.5, 0.5, 2.0 / 6.0, 1.0 / 5.0]);
    }
}
