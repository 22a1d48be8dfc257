//! The table of metrics of several classes.

use super::metric::{ClassMetric, Scores};
use crate::data::classes::class::ClassKind;

/// All metrics, in the order in which their scores are written. A line for each file of `measures`.
pub(super) static METRICS: &[ClassMetric] = &[
    ClassMetric::of_matrix::<super::measures::pixel_accuracy::PixelAccuracy>(),
    ClassMetric::of_class::<super::measures::iou::Iou, _>(),
    ClassMetric::of_class::<super::measures::dice::Dice, _>(),
    ClassMetric::of_class::<super::measures::precision::Precision, _>(),
    ClassMetric::of_class::<super::measures::recall::Recall, _>(),
    ClassMetric::of_class::<super::measures::accuracy::Accuracy, _>(),
    ClassMetric::of_class::<super::measures::hd95::Hausdorff, _>(),
    ClassMetric::of_class::<super::measures::nsd::SurfaceDistance, _>(),
    ClassMetric::of_class::<super::measures::boundary_iou::BoundaryIou, _>(),
];

/// A metric of several classes as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMetricTitle {
    /// What it is: its name, its parameters, and where it is from.
    pub title: &'static str,
    /// The names of its scores in JSON.
    pub keys: Vec<&'static str>,
    /// The only kind of classes that has this metric, if not both have it.
    pub kind: Option<ClassKind>,
}

/// All metrics, in the order in which their scores are written.
pub fn class_titles() -> Vec<ClassMetricTitle> {
    let title = |metric: &ClassMetric| {
        let keys = match metric.scores {
            Scores::OfClass { scores, .. } => scores.iter().map(|score| score.key).collect(),
            Scores::OfMatrix { key, .. } => vec![key],
        };
        ClassMetricTitle { title: metric.title, keys, kind: metric.kind }
    };
    METRICS.iter().map(title).collect()
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
        for key in class_titles().into_iter().flat_map(|metric| metric.keys) {
            assert!(seen.insert(key), "two scores are called {key}");
        }
    }

    #[test]
    fn every_file_of_a_metric_has_its_line() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/classes/measures");
        let files = fs::read_dir(folder).expect("the folder of the metrics");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.retain(|name| name != "mod.rs");
        assert_eq!(names.len(), METRICS.len(), "{names:?}");
    }
}
