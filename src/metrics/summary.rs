//! The scores of a set of pairs.

use std::array;
use std::slice;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::confusion::Confusion;
use super::min_max::MinMax;
use super::mirror::{MirrorScores, MirrorSums};
use super::pair::PairScores;

/// The names of the scores, in the order of [`Summary::values`].
pub const KEYS: [&str; 18] = [
    "MAE",
    "Smeasure",
    "wFmeasure",
    "adpFm",
    "meanFm",
    "maxFm",
    "adpEm",
    "meanEm",
    "maxEm",
    "meanDice",
    "maxDice",
    "meanIoU",
    "maxIoU",
    "meanBER",
    "sample_bidice",
    "sample_biiou",
    "overall_bidice",
    "overall_biiou",
];

/// The scores of a set of pairs, or of one pair.
///
/// Serialises as a flat map from [`KEYS`] to numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    values: [f64; 18],
    mirror: MirrorScores,
    pairs: usize,
}

impl Summary {
    /// The scores of the set: means over the pairs in the order given (all NaN without any).
    pub fn of(pairs: &[PairScores]) -> Self {
        Self::over(pairs.iter())
    }

    /// The same, for pairs that do not lie side by side.
    pub fn over<'a>(pairs: impl Iterator<Item = &'a PairScores>) -> Self {
        let mut sums = Sums::default();
        let mut mirror = MirrorSums::default();
        for pair in pairs {
            sums.add(pair);
            mirror.add(pair);
        }
        Self { values: sums.values(), mirror: mirror.scores(), pairs: sums.pairs }
    }

    /// Each score with its name, in the order of [`KEYS`].
    pub fn values(&self) -> [(&'static str, f64); 18] {
        array::from_fn(|k| (KEYS[k], self.values[k]))
    }

    /// The score of that name: one of [`KEYS`] or of [`MirrorScores::KEYS`].
    pub fn get(&self, key: &str) -> Option<f64> {
        self.values().into_iter().chain(self.mirror.values()).find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The scores as papers on mirrors compute them.
    pub fn mirror(&self) -> MirrorScores {
        self.mirror
    }

    /// How many pairs these are the scores of.
    pub fn pairs(&self) -> usize {
        self.pairs
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
        let mut map = serializer.serialize_map(Some(KEYS.len()))?;
        for (key, value) in self.values() {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

/// A measure at the thresholds 0, 1/255, ..., 1, summed over pairs.
type Curve = [f64; 256];

struct Sums {
    pairs: usize,
    absolute_error: f64,
    s_measure: f64,
    weighted_f: f64,
    adaptive_f: f64,
    adaptive_e: f64,
    binary_dice: f64,
    binary_iou: f64,
    f_measure: Curve,
    e_measure: Curve,
    dice: Curve,
    iou: Curve,
    balanced_error_rate: Curve,
    /// Counts over all pairs of the prediction above 0.5.
    overall: Confusion,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            pairs: 0,
            absolute_error: 0.0,
            s_measure: 0.0,
            weighted_f: 0.0,
            adaptive_f: 0.0,
            adaptive_e: 0.0,
            binary_dice: 0.0,
            binary_iou: 0.0,
            f_measure: [0.0; 256],
            e_measure: [0.0; 256],
            dice: [0.0; 256],
            iou: [0.0; 256],
            balanced_error_rate: [0.0; 256],
            overall: Confusion::default(),
        }
    }
}

impl Sums {
    fn add(&mut self, pair: &PairScores) {
        let min_max = MinMax::of(&pair.levels());
        self.pairs += 1;
        self.absolute_error += absolute_error(pair, &min_max);
        self.s_measure += pair.s_measure;
        self.weighted_f += pair.weighted_f;

        let adaptive = pair.confusion(&min_max, |value| value >= pair.adaptive_threshold);
        self.adaptive_f += adaptive.f_measure();
        self.adaptive_e += adaptive.e_measure();

        let binary = pair.confusion(&min_max, |value| value > 0.5);
        self.binary_dice += binary.dice();
        self.binary_iou += binary.iou();
        self.overall.add(binary);

        for (k, at) in at_each_threshold(pair, &min_max).iter().enumerate() {
            self.f_measure[k] += at.f_measure();
            self.e_measure[k] += at.e_measure();
            self.dice[k] += at.dice();
            self.iou[k] += at.iou();
            self.balanced_error_rate[k] += at.balanced_error_rate();
        }
    }

    fn values(&self) -> [f64; 18] {
        let pairs = self.pairs as f64;
        let mean = |curve: &Curve| curve.iter().sum::<f64>() / 256.0 / pairs;
        let highest = |curve: &Curve| curve.iter().copied().fold(f64::NEG_INFINITY, f64::max) / pairs;
        let overall = |measure: f64| if self.pairs == 0 { f64::NAN } else { measure };
        [
            self.absolute_error / pairs,
            self.s_measure / pairs,
            self.weighted_f / pairs,
            self.adaptive_f / pairs,
            mean(&self.f_measure),
            highest(&self.f_measure),
            self.adaptive_e / pairs,
            mean(&self.e_measure),
            highest(&self.e_measure),
            mean(&self.dice),
            highest(&self.dice),
            mean(&self.iou),
            highest(&self.iou),
            mean(&self.balanced_error_rate),
            self.binary_dice / pairs,
            self.binary_iou / pairs,
            overall(self.overall.dice()),
            overall(self.overall.iou()),
        ]
    }
}

/// The mean over pixels of |prediction - mask|.
fn absolute_error(pair: &PairScores, min_max: &MinMax) -> f64 {
    let (mut sum, mut pixels) = (0.0, 0.0);
    let levels = min_max.values().iter().zip(pair.foreground.iter().zip(&pair.background));
    for (value, (&on, &off)) in levels.filter(|(_, (on, off))| **on + **off > 0) {
        sum += f64::from(on) * (1.0 - value) + f64::from(off) * value;
        pixels += f64::from(on) + f64::from(off);
    }
    sum / pixels
}

/// The counts of the maps "at least 0", "at least 1/255", ..., "at least 1", values cut to whole 255ths.
fn at_each_threshold(pair: &PairScores, min_max: &MinMax) -> [Confusion; 256] {
    let mut counts = [Confusion::default(); 256];
    let (mut foreground, mut background) = (0, 0);
    for (level, (&on, &off)) in pair.foreground.iter().zip(&pair.background).enumerate() {
        if on + off > 0 {
            let at = &mut counts[min_max.threshold(level)];
            at.true_positive += u64::from(on);
            at.false_positive += u64::from(off);
            foreground += u64::from(on);
            background += u64::from(off);
        }
    }
    let (mut true_positive, mut false_positive) = (0, 0);
    for at in counts.iter_mut().rev() {
        true_positive += at.true_positive;
        false_positive += at.false_positive;
        *at = Confusion { true_positive, false_positive, foreground, background };
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn overall_scores_add_counts_and_sample_scores_average() {
        let hit = score_pair(&[255, 0, 0, 0], &[255, 0, 0, 0], 4, 1).expect("a valid pair");
        let miss = score_pair(&[0, 0, 0, 255], &[255, 255, 255, 0], 4, 1).expect("a valid pair");
        let summary = Summary::of(&[hit, miss]);
        assert_eq!(summary.pairs(), 2);
        assert_eq!(summary.get("sample_biiou"), Some(0.5));
        assert_eq!(summary.get("overall_biiou"), Some(1.0 / 5.0));
        assert_eq!(summary.get("overall_bidice"), Some(2.0 / 6.0));
    }

    #[test]
    fn nothing_has_no_scores() {
        let summary = Summary::of(&[]);
        assert!(summary.values().iter().all(|(_, value)| value.is_nan()));
        assert!(summary.mirror().values().iter().all(|(_, value)| value.is_nan()));
    }
}
