//! The paper's tasks: how long each trains, at which scales, and the scores that the paper prints for it.

use super::summary::Summary;
use crate::choice::choice;
use crate::data::multi_scale::MultiScale;

/// A column of a table of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What stands above it.
    pub heading: &'static str,
    /// The score's name, for [`Summary::get`].
    pub key: &'static str,
}

impl Column {
    const fn new(heading: &'static str, key: &'static str) -> Self {
        Self { heading, key }
    }

    /// The score that this column shows.
    pub fn of(&self, summary: &Summary) -> f64 {
        summary.get(self.key).unwrap_or(f64::NAN)
    }
}

const S_MEASURE: Column = Column::new("S", "Smeasure");
const ADAPTIVE_F: Column = Column::new("F", "adpFm");
const WEIGHTED_F: Column = Column::new("wF", "wFmeasure");
const MEAN_E: Column = Column::new("E", "meanEm");
const MAE: Column = Column::new("MAE", "MAE");
const MEAN_DICE: Column = Column::new("mDice", "meanDice");
const MEAN_IOU: Column = Column::new("mIoU", "meanIoU");
const BINARY_DICE: Column = Column::new("Dice>.5", "sample_bidice");
const BINARY_IOU: Column = Column::new("IoU>.5", "sample_biiou");
const MIRROR_IOU: Column = Column::new("IoU", "mirrorIoU");
const MIRROR_F: Column = Column::new("F", "mirrorF");
const MIRROR_MAE: Column = Column::new("MAE", "mirrorMAE");

/// Declares [`Task`] and what a row of the table says of each.
macro_rules! tasks {
    ($($(#[$doc:meta])* $Task:ident $name:literal $epochs:literal $multi_scale:ident [$($column:expr),+];)+) => {
        choice! {
            /// A task of the SAM2-UNet paper (arXiv 2408.08870, section 4).
            pub enum Task: "task" {
                $($(#[$doc])* $Task = $name),+
            }
        }

        impl Task {
            /// For how many epochs the paper trains (section 4.1).
            pub const fn epochs(self) -> u64 {
                match self {
                    $(Self::$Task => $epochs),+
                }
            }

            /// How the paper draws the sides that it trains at (section 4.1).
            pub const fn multi_scale(self) -> MultiScale {
                match self {
                    $(Self::$Task => MultiScale::$multi_scale),+
                }
            }

            /// The scores that the paper prints for the task, in its order.
            pub const fn columns(self) -> &'static [Column] {
                match self {
                    $(Self::$Task => const { &[$($column),+] }),+
                }
            }
        }
    };
}

tasks! {
    // task      name        epochs  multi-scale  columns

    /// Camouflaged objects.
    Camouflage  "camouflage"   50       Off       [S_MEASURE, ADAPTIVE_F, MEAN_E, MAE];
    /// Salient objects.
    Salient     "salient"      50       Off       [S_MEASURE, ADAPTIVE_F, MEAN_E, MAE];
    /// Marine animals.
    Marine      "marine"       20       Off       [MEAN_IOU, S_MEASURE, WEIGHTED_F, MEAN_E, MAE];
    /// Mirrors.
    Mirror      "mirror"       20       Off       [MIRROR_IOU, MIRROR_F, MIRROR_MAE];
    /// Polyps.
    Polyp       "polyp"        20       Random    [MEAN_DICE, MEAN_IOU];
}

/// The scores to show, most telling first: those of the task in the paper's order, or a choice that serves any task.
pub const fn columns(task: Option<Task>) -> &'static [Column] {
    match task {
        Some(task) => task.columns(),
        None => &[S_MEASURE, ADAPTIVE_F, WEIGHTED_F, MEAN_E, MAE, MEAN_DICE, MEAN_IOU, BINARY_DICE, BINARY_IOU],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::pair::score_pair;

    #[test]
    fn every_column_has_a_score() {
        let scores = score_pair(&[0, 100, 255], &[0, 255, 255], 3, 1).expect("a valid pair");
        let summary = Summary::from(&scores);
        for task in Task::ALL.iter().copied().map(Some).chain([None]) {
            for column in columns(task) {
                assert!(summary.get(column.key).is_some(), "{task:?}: {}", column.key);
            }
        }
    }

    /// Section 4.1 of the paper.
    #[test]
    fn tasks_train_as_in_the_paper() {
        let rows = Task::ALL.iter().map(|task| (task.name(), task.epochs(), task.multi_scale()));
        let expected = [
            ("camouflage", 50, MultiScale::Off),
            ("salient", 50, MultiScale::Off),
            ("marine", 20, MultiScale::Off),
            ("mirror", 20, MultiScale::Off),
            ("polyp", 20, MultiScale::Random),
        ];
        assert!(rows.take(expected.len()).eq(expected));
    }
}
