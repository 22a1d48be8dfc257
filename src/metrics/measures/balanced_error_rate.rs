//! The balanced error rate: half the sum of the error rates on the foreground and on the background.

use crate::metrics::confusion::{Confusion, ratio};
use crate::metrics::curve::Curve;
use crate::metrics::metric::{Measure, Pair};

/// The sum over pairs of the balanced error rate at each threshold.
#[derive(Default)]
pub(crate) struct BalancedErrorRate(Curve);

impl Measure<1> for BalancedErrorRate {
    const TITLE: &'static str = "balanced error rate over 256 thresholds (as PySODMetrics computes it)";
    const KEYS: [&'static str; 1] = ["meanBER"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.0.add(&pair.counts.at_thresholds, balanced_error_rate);
    }

    fn scores(&self, pairs: f64) -> [f64; 1] {
        [self.0.mean(pairs)]
    }
}

/// 1 - (sensitivity + specificity) / 2; a part whose class is absent counts as 0.
fn balanced_error_rate(counts: &Confusion) -> f64 {
    let sensitivity = ratio(counts.true_positive, counts.foreground);
    let specificity = ratio(counts.true_negative(), counts.background);
    1.0 - 0.5 * (sensitivity + specificity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        let counts = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };
        assert_abs_diff_eq!(balanced_error_rate(&counts), 1.0 - (0.5 + 5.0 / 6.0) / 2.0, epsilon = 1e-15);
        assert_eq!(balanced_error_rate(&Confusion { background: 10, ..Confusion::default() }), 0.5);
    }
}
