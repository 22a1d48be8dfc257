//! What a metric is.

use super::counts::Counts;
use super::maps::Maps;

/// A pair of prediction and mask, as a metric adds it to its sums.
pub(super) struct Pair<'a> {
    /// What is counted for all metrics.
    pub(super) counts: &'a Counts<'a>,
    /// What the metric's own [`Measure::OF_MAPS`] gave for the pair; NaN for a metric that has none.
    pub(super) of_maps: f64,
}

/// A metric: running sums over pairs, and the `N` scores that follow from them.
///
/// The default value is the sums of no pairs. A metric is a file in `measures` and a line in `all.rs`.
pub(super) trait Measure<const N: usize>: Default + 'static {
    /// What it is, for people: its name, its parameters, and the paper that it is from.
    const TITLE: &'static str;

    /// The names of its scores.
    const KEYS: [&'static str; N];

    /// Whether its scores are reported for every task; otherwise only for a task that has one of them as a column.
    const FOR_EVERY_TASK: bool = true;

    /// A number that needs the pixels' positions. It is computed once for each pair and kept with the pair's counts; the
    /// maps themselves are not kept.
    const OF_MAPS: Option<fn(&Maps<'_>) -> f64> = None;

    /// Adds a pair to the sums.
    fn add(&mut self, pair: &Pair<'_>);

    /// The scores of all the pairs added, `pairs` in number, in the order of the keys. NaN where there are none.
    fn scores(&self, pairs: f64) -> [f64; N];
}

/// A row of the table of metrics: a [`Measure`] without its type.
pub(super) struct Metric {
    /// [`Measure::TITLE`].
    pub(super) title: &'static str,
    /// [`Measure::KEYS`].
    pub(super) keys: &'static [&'static str],
    /// [`Measure::FOR_EVERY_TASK`].
    pub(super) for_every_task: bool,
    /// [`Measure::OF_MAPS`].
    pub(super) of_maps: Option<fn(&Maps<'_>) -> f64>,
    /// The sums of no pairs.
    pub(super) sums: fn() -> Box<dyn Sums>,
}

impl Metric {
    pub(super) const fn of<M: Measure<N>, const N: usize>() -> Self {
        Self {
            title: M::TITLE,
            keys: const { &M::KEYS },
            for_every_task: M::FOR_EVERY_TASK,
            of_maps: M::OF_MAPS,
            sums: || Box::new(SumsOf::<M, N>(M::default())),
        }
    }
}

/// The sums of some metric.
pub(super) trait Sums {
    /// As [`Measure::add`].
    fn add(&mut self, pair: &Pair<'_>);

    /// As [`Measure::scores`]; as many as the metric has keys.
    fn scores(&self, pairs: f64) -> Vec<f64>;
}

struct SumsOf<M, const N: usize>(M);

impl<M: Measure<N>, const N: usize> Sums for SumsOf<M, N> {
    fn add(&mut self, pair: &Pair<'_>) {
        self.0.add(pair);
    }

    fn scores(&self, pairs: f64) -> Vec<f64> {
        self.0.scores(pairs).into()
    }
}
