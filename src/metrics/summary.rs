//! The scores of a set of pairs.

use std::slice;

use serde::ser::{Serialize, Serializer};

use super::all::METRICS;
use super::metric::{Metric, Pair};
use super::pair::PairScores;

/// The scores of a set of pairs, or of one pair.
///
/// Serialises as a flat map from [`keys`](super::keys) to numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// All scores of all metrics, in the table's order.
    values: Vec<f64>,
    pairs: usize,
}

impl Summary {
    /// The scores of the set: means over the pairs in the order given (all NaN without any).
    pub fn of(pairs: &[PairScores]) -> Self {
        Self::over(pairs.iter())
    }

    /// The same, for pairs that do not lie side by side.
    pub fn over<'a>(pairs: impl Iterator<Item = &'a PairScores>) -> Self {
        let mut sums: Vec<_> = METRICS.iter().map(|metric| (metric.sums)()).collect();
        let mut added = 0;
        for pair in pairs {
            let counts = pair.counts();
            for (sums, of_maps) in sums.iter_mut().zip(&pair.of_maps) {
                sums.add(&Pair { counts: &counts, of_maps: of_maps.unwrap_or(f64::NAN) });
            }
            added += 1;
        }
        Self { values: sums.iter().flat_map(|sums| sums.scores(added as f64)).collect(), pairs: added }
    }

    /// Each score that is reported for every task, with its name, in the order of [`keys`](super::keys).
    pub fn values(&self) -> Vec<(&'static str, f64)> {
        self.of_metrics(|metric| metric.for_every_task).collect()
    }

    /// Each score of all metrics, with its name, in the order of [`titles`](super::titles).
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        self.of_metrics(|_| true).collect()
    }

    /// The score of that name, of whatever metric.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.of_metrics(|_| true).find_map(|(name, value)| (name == key).then_some(value))
    }

    /// How many pairs these are the scores of.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The scores of the metrics that are wanted, with their names, in the table's order.
    pub(super) fn of_metrics(&self, wanted: impl Fn(&Metric) -> bool) -> impl Iterator<Item = (&'static str, f64)> {
        let keys = METRICS.iter().flat_map(move |metric| {
            let wanted = wanted(metric);
            metric.keys.iter().map(move |key| (*key, wanted))
        });
        keys.zip(&self.values).filter_map(|((key, wanted), value)| wanted.then_some((key, *value)))
    }
}

impl From<&PairScores> for Summary {
    /// The scores of this pair alone.
    fn from(pair: &PairScores) -> Self {
        Self::of(slice::from_ref(pair))
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::all::keys;
    use crate::metrics::pair::score_pair;
    use approx::assert_abs_diff_eq;

    fn small() -> Summary {
        // stretched: 0, 0.2, 0.6, 1
        let scores = score_pair(&[0, 51, 153, 255], &[0, 0, 255, 255], 4, 1).expect("a valid pair");
        Summary::from(&scores)
    }

    #[test]
    fn absolute_error_and_binary_scores_by_hand() {
        let summary = small();
        assert_abs_diff_eq!(summary.get("MAE").unwrap_or(f64::NAN), 0.6 / 4.0, epsilon = 1e-15);
        for key in ["sample_bidice", "sample_biiou", "overall_bidice", "overall_biiou"] {
            assert_eq!(summary.get(key), Some(1.0), "{key}");
        }
        assert_eq!(summary.get("no such score"), None);
    }

    /// TP, FP are 2, 2 at threshold 0; 2, 1 at 1..=51; 2, 0 at 52..=153; 1, 0 above.
    #[test]
    fn curves_by_hand() {
        let summary = small();
        let curve = |at: [f64; 4]| (at[0] + 51.0 * at[1] + 102.0 * at[2] + 102.0 * at[3]) / 256.0;
        let expected = [
            ("meanIoU", curve([0.5, 2.0 / 3.0, 1.0, 0.5])),
            ("meanDice", curve([2.0 / 3.0, 0.8, 1.0, 2.0 / 3.0])),
            ("meanBER", curve([0.5, 0.25, 0.0, 0.25])),
            ("meanFm", curve([0.65 / 1.15, 2.6 / 3.0 / 1.2, 1.0, 0.65 / 0.8])),
            ("maxIoU", 1.0),
            ("maxDice", 1.0),
            ("maxFm", 1.0),
            // mean 0.45, threshold 0.9: one of two found
            ("adpFm", 0.65 / 0.8),
            // a perfect map's sum of 4 over 4 - 1
            ("maxEm", 4.0 / 3.0),
        ];
        for (key, expected) in expected {
            assert_abs_diff_eq!(summary.get(key).unwrap_or(f64::NAN), expected, epsilon = 1e-12);
        }
    }

    #[test]
    fn every_score_has_its_name() {
        let hit = score_pair(&[255, 0, 0, 0], &[255, 0, 0, 0], 4, 1).expect("a valid pair");
        let miss = score_pair(&[0, 0, 0, 255], &[255, 255, 255, 0], 4, 1).expect("a valid pair");
        let summary = Summary::of(&[hit, miss]);
        assert_eq!(summary.pairs(), 2);
        assert_eq!(summary.values().into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys());
        for (key, value) in summary.all() {
            assert!(value.is_finite(), "{key}");
            assert_eq!(summary.get(key), Some(value));
        }
        let all: usize = METRICS.iter().map(|metric| metric.keys.len()).sum();
        assert_eq!((summary.all().len(), summary.values.len()), (all, all));
    }

    #[test]
    fn nothing_has_no_scores() {
        let summary = Summary::of(&[]);
        assert!(summary.all().iter().all(|(_, value)| value.is_nan()));
    }
}
