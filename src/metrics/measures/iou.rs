//! Intersection over union (Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 1912).

use crate::metrics::confusion::{Confusion, ratio};
use crate::metrics::curve::Curve;
use crate::metrics::metric::{Measure, Pair};

/// The sum over pairs of IoU at each threshold.
#[derive(Default)]
pub(crate) struct Iou(Curve);

impl Measure<2> for Iou {
    const TITLE: &'static str = "intersection over union, over 256 thresholds (Jaccard, New Phytologist 1912)";
    const KEYS: [&'static str; 2] = ["meanIoU", "maxIoU"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.0.add(&pair.counts.at_thresholds, iou);
    }

    fn scores(&self, pairs: f64) -> [f64; 2] {
        [self.0.mean(pairs), self.0.highest(pairs)]
    }
}

/// TP / (TP + FP + FN); 0 where map and mask are both empty.
pub(super) fn iou(counts: &Confusion) -> f64 {
    ratio(counts.true_positive, counts.foreground + counts.false_positive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        let counts = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };
        assert_abs_diff_eq!(iou(&counts), 2.0 / 5.0, epsilon = 1e-15);
        assert_eq!(iou(&Confusion { background: 10, ..Confusion::default() }), 0.0);
    }
}
