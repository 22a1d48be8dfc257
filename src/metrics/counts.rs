//! What several metrics share of a pair's counts, computed once for all.

use super::confusion::Confusion;
use super::levels::{Histogram, Levels};
use super::min_max::MinMax;

/// A pair's counts, for all metrics.
pub(super) struct Counts<'a> {
    /// The prediction's levels, by what the mask holds.
    pub(super) levels: &'a Levels,
    /// The levels of the whole prediction.
    pub(super) all: Histogram,
    /// What each level stands for.
    pub(super) min_max: MinMax,
    /// The map "at least the adaptive threshold".
    pub(super) adaptive: Confusion,
    /// The map "above 0.5".
    pub(super) binary: Confusion,
    /// The maps "at least 0", "at least 1/255", ..., "at least 1", values cut to whole 255ths.
    pub(super) at_thresholds: [Confusion; 256],
}

impl<'a> Counts<'a> {
    /// The counts of a pair with these levels; `adaptive_threshold` is one of the stretched prediction.
    pub(super) fn of(levels: &'a Levels, adaptive_threshold: f64) -> Self {
        let all = levels.all();
        let min_max = MinMax::of(&all);
        Self {
            adaptive: levels.confusion(|level| min_max.value(level) >= adaptive_threshold),
            binary: levels.confusion(|level| min_max.value(level) > 0.5),
            at_thresholds: at_each_threshold(levels, &min_max),
            levels,
            all,
            min_max,
        }
    }
}

fn at_each_threshold(levels: &Levels, min_max: &MinMax) -> [Confusion; 256] {
    let mut counts = [Confusion::default(); 256];
    let (mut foreground, mut background) = (0, 0);
    for (level, (&on, &off)) in levels.foreground.iter().zip(&levels.background).enumerate() {
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

    #[test]
    fn by_hand() {
        // stretched: 0, 0.2, 0.6, 1; mean 0.45
        let levels = Levels::count(&[0, 51, 153, 255], &[0, 0, 255, 255]);
        let counts = Counts::of(&levels, 0.9);
        let map =
            |true_positive, false_positive| Confusion { true_positive, false_positive, foreground: 2, background: 2 };
        assert_eq!((counts.adaptive, counts.binary), (map(1, 0), map(2, 0)));
        for (threshold, counted) in counts.at_thresholds.into_iter().enumerate() {
            let expected = match threshold {
                0 => map(2, 2),
                1..=51 => map(2, 1),
                52..=153 => map(2, 0),
                _ => map(1, 0),
            };
            assert_eq!(counted, expected, "{threshold}");
        }
    }
}
