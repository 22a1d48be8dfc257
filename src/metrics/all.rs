//! The table of metrics.

use super::metric::Metric;

/// All metrics, in the order in which their scores are written. A line for each file of `measures`.
pub(super) static METRICS: &[Metric] = &[
    Metric::of::<super::measures::mae::MeanAbsoluteError, _>(),
    Metric::of::<super::measures::s_measure::SMeasure, _>(),
    Metric::of::<super::measures::weighted_f::WeightedF, _>(),
    Metric::of::<super::measures::f_measure::FMeasure, _>(),
    Metric::of::<super::measures::e_measure::EMeasure, _>(),
    Metric::of::<super::measures::dice::Dice, _>(),
    Metric::of::<super::measures::iou::Iou, _>(),
    Metric::of::<super::measures::balanced_error_rate::BalancedErrorRate, _>(),
    Metric::of::<super::measures::binary::Binary, _>(),
    Metric::of::<super::measures::mirror::Mirror, _>(),
];

/// A metric as people and programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricTitle {
    /// What it is: its name, its parameters, and the paper that it is from.
    pub title: &'static str,
    /// The names of its scores, for [`Summary::get`](super::Summary::get) and in JSON.
    pub keys: &'static [&'static str],
    /// Whether its scores are reported for every task; otherwise only for a task that has one of them as a column.
    pub for_every_task: bool,
}

/// All metrics, in the order in which their scores are written.
pub fn titles() -> Vec<MetricTitle> {
    let title =
        |metric: &Metric| MetricTitle { title: metric.title, keys: metric.keys, for_every_task: metric.for_every_task };
    METRICS.iter().map(title).collect()
}

/// The names of the scores that are reported for every task, in the order of [`Summary::values`](super::Summary::values).
pub fn keys() -> Vec<&'static str> {
    METRICS.iter().filter(|metric| metric.for_every_task).flat_map(|metric| metric.keys).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_key_stands_for_one_score() {
        let mut seen = HashSet::new();
        for metric in METRICS {
            assert!(!metric.keys.is_empty(), "{} has no score", metric.title);
            for key in metric.keys {
                assert!(seen.insert(key), "two scores are called {key}");
            }
        }
    }

    /// Files of scores are compared with older ones: names and order stay.
    #[test]
    fn the_scores_of_pysodmetrics_come_first_and_in_order() {
        let expected = "MAE Smeasure wFmeasure adpFm meanFm maxFm adpEm meanEm maxEm meanDice maxDice meanIoU maxIoU meanBER \
                        sample_bidice sample_biiou overall_bidice overall_biiou";
        let expected: Vec<&str> = expected.split(' ').collect();
        assert_eq!(keys()[..expected.len()], expected);
    }

    #[test]
    fn every_file_of_a_metric_has_its_line() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/measures");
        let files = fs::read_dir(folder).expect("the folder of the metrics");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.retain(|name| name != "mod.rs");
        assert_eq!(names.len(), METRICS.len(), "{names:?}");
    }
}
