//! Scores as a table for people and as JSON for programs.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::aligned::aligned;
use super::folders::FolderScores;
use super::metric::Metric;
use super::summary::Summary;
use super::task::{Column, Task, columns};

/// A table of the data sets' scores, one row each, with the columns of the task (or a choice that serves any task).
pub fn table(sets: &[FolderScores], task: Option<Task>) -> String {
    let columns = columns(task);
    let mut rows = vec![headings(columns)];
    rows.extend(sets.iter().map(|set| row(set, columns)));
    aligned(&rows)
}

fn headings(columns: &[Column]) -> Vec<String> {
    let fixed = ["", "images"].into_iter();
    fixed.chain(columns.iter().map(|column| column.heading)).map(String::from).collect()
}

fn row(set: &FolderScores, columns: &[Column]) -> Vec<String> {
    let summary = set.summary();
    let fixed = [set.name.clone(), summary.pairs().to_string()];
    let scores = columns.iter().map(|column| format!("{:.4}", column.of(&summary)));
    fixed.into_iter().chain(scores).collect()
}

/// The scores of data sets, to be serialised.
///
/// Without names: one flat object of the only set's scores by [`keys`](super::keys), and `per_image`, an object of the
/// same for each image by its stem. With names: an object that holds one such object for each set by its name. Where a
/// column of the task is a score of a metric that is not reported for every task, that metric's keys are there too.
#[derive(Clone, Copy, Debug)]
pub struct JsonReport<'a> {
    /// The data sets, in order.
    pub sets: &'a [FolderScores],
    /// Whether each set stands under its name. Always so for several sets.
    pub named: bool,
    /// The task whose columns must be there.
    pub task: Option<Task>,
}

impl Serialize for JsonReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let set = |scores| SetReport { scores, columns: columns(self.task) };
        match self.sets {
            [only] if !self.named => set(only).serialize(serializer),
            sets => serializer.collect_map(sets.iter().map(|scores| (&scores.name, set(scores)))),
        }
    }
}

/// One set's object.
struct SetReport<'a> {
    scores: &'a FolderScores,
    columns: &'static [Column],
}

impl Serialize for SetReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in flat(&self.scores.summary(), self.columns) {
            map.serialize_entry(key, &value)?;
        }
        map.serialize_entry("per_image", &PerImage(self))?;
        map.end()
    }
}

/// The object of a set's images.
struct PerImage<'a>(&'a SetReport<'a>);

impl Serialize for PerImage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(set) = self;
        let images = set.scores.images.iter();
        serializer.collect_map(images.map(|(stem, scores)| (stem, ImageReport(Summary::from(scores), set.columns))))
    }
}

/// One image's object.
struct ImageReport(Summary, &'static [Column]);

impl Serialize for ImageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(flat(&self.0, self.1))
    }
}

/// Names and numbers, in the order of the keys.
fn flat(summary: &Summary, columns: &[Column]) -> impl Iterator<Item = (&'static str, f64)> {
    let has_column = |metric: &Metric| columns.iter().any(|column| metric.keys.contains(&column.key));
    summary.of_metrics(move |metric| metric.for_every_task || has_column(metric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::all::keys;
    use crate::metrics::pair::score_pair;

    fn set(name: &str) -> FolderScores {
        let perfect = score_pair(&[0, 255], &[0, 255], 2, 1).expect("a valid pair");
        let wrong = score_pair(&[255, 0], &[0, 255], 2, 1).expect("a valid pair");
        FolderScores {
            name: name.to_owned(),
            images: vec![("b".to_owned(), perfect), ("a".to_owned(), wrong)],
            about_predictions: Vec::new(),
            about_masks: Vec::new(),
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_set() {
        // threshold 0 takes all: Dice 2/3 and IoU 1/2 for both images; the other 255 thresholds 1 and 0
        let table = table(&[set("first"), set("a longer name")], Some(Task::Polyp));
        assert_eq!(
            table,
            "               images   mDice    mIoU\n\
             first               2  0.5007  0.5000\n\
             a longer name       2  0.5007  0.5000\n"
        );
    }

    #[test]
    fn json_of_one_set_is_flat() {
        let sets = [set("first")];
        let report = JsonReport { sets: &sets, named: false, task: None };
        let json = serde_json::to_value(report).expect("numbers and strings");
        let found: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(found.len(), keys().len() + 1);
        assert!(keys().iter().all(|key| found.contains(key)) && found.contains(&"per_image"));
        assert_eq!(json["sample_biiou"], 0.5);
        assert_eq!(json["per_image"]["b"]["sample_biiou"], 1.0);
        assert_eq!(json["per_image"]["a"].as_object().map(|image| image.len()), Some(keys().len()));
    }

    #[test]
    fn json_of_a_task_holds_its_columns() {
        let sets = [set("first")];
        for task in Task::ALL.iter().copied() {
            let report = JsonReport { sets: &sets, named: false, task: Some(task) };
            let json = serde_json::to_value(report).expect("numbers and strings");
            for column in task.columns() {
                assert!(json[column.key].is_f64(), "{task}: {}", column.key);
                assert!(json["per_image"]["a"][column.key].is_f64(), "{task}: {}", column.key);
            }
        }
    }

    #[test]
    fn json_of_named_sets_is_by_name() {
        let sets = [set("first"), set("second")];
        let report = JsonReport { sets: &sets, named: true, task: Some(Task::Mirror) };
        let json = serde_json::to_value(report).expect("numbers and strings");
        assert_eq!(json.as_object().map(|sets| sets.len()), Some(2));
        assert_eq!(json["second"]["mirrorIoU"], 0.5);
        assert_eq!(json["second"]["per_image"]["b"]["mirrorMAE"], 0.0);
    }
}
