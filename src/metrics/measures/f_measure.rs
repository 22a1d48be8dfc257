//! The F-measure (Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned salient region detection", CVPR 2009).

use crate::metrics::confusion::{Confusion, ratio};
use crate::metrics::curve::Curve;
use crate::metrics::metric::{Measure, Pair};

/// How much precision weighs: beta^2 of the F-measure.
pub(super) const BETA_SQUARED: f64 = 0.3;

/// Sums over pairs of F at the adaptive threshold and at each threshold.
#[derive(Default)]
pub(crate) struct FMeasure {
    adaptive: f64,
    curve: Curve,
}

impl Measure<3> for FMeasure {
    const TITLE: &'static str = "F-measure, beta^2 0.3 (Achanta et al., CVPR 2009)";
    const KEYS: [&'static str; 3] = ["adpFm", "meanFm", "maxFm"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.adaptive += f_measure(&pair.counts.adaptive);
        self.curve.add(&pair.counts.at_thresholds, f_measure);
    }

    fn scores(&self, pairs: f64) -> [f64; 3] {
        [self.adaptive / pairs, self.curve.mean(pairs), self.curve.highest(pairs)]
    }
}

/// (1 + beta^2) P R / (beta^2 P + R); 0 without a true positive.
fn f_measure(counts: &Confusion) -> f64 {
    if counts.true_positive == 0 {
        return 0.0;
    }
    let precision = ratio(counts.true_positive, counts.positive());
    let recall = ratio(counts.true_positive, counts.foreground);
    (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        let counts = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };
        // precision 2/3, recall 1/2: 1.3 / 3 / (0.2 + 0.5)
        assert_abs_diff_eq!(f_measure(&counts), 1.3 / 3.0 / 0.7, epsilon = 1e-15);
        assert_eq!(f_measure(&Confusion { background: 10, ..Confusion::default() }), 0.0);
    }
}
