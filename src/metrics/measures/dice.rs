//! The Dice coefficient (Dice, "Measures of the amount of ecologic association between species", Ecology 1945).

use crate::metrics::confusion::{Confusion, ratio};
use crate::metrics::curve::Curve;
use crate::metrics::metric::{Measure, Pair};

/// The sum over pairs of Dice at each threshold.
#[derive(Default)]
pub(crate) struct Dice(Curve);

impl Measure<2> for Dice {
    const TITLE: &'static str = "Dice coefficient over 256 thresholds (Dice, Ecology 1945)";
    const KEYS: [&'static str; 2] = ["meanDice", "maxDice"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.0.add(&pair.counts.at_thresholds, dice);
    }

    fn scores(&self, pairs: f64) -> [f64; 2] {
        [self.0.mean(pairs), self.0.highest(pairs)]
    }
}

/// 2 TP / (2 TP + FP + FN); 0 where map and mask are both empty.
pub(super) fn dice(counts: &Confusion) -> f64 {
    ratio(2 * counts.true_positive, counts.foreground + counts.positive())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        let counts = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };
        assert_abs_diff_eq!(dice(&counts), 4.0 / 7.0, epsilon = 1e-15);
        assert_eq!(dice(&Confusion { background: 10, ..Confusion::default() }), 0.0);
    }
}
