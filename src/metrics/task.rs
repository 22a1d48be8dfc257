//! Which scores the paper prints for which task, and in which order.

use super::summary::Summary;
use crate::choice::choice;
use crate::data::multi_scale::MultiScale;

choice! {
    /// A task of the SAM2-UNet paper (arXiv 2408.08870, "Experiments").
    pub enum Task: "task" {
        /// Camouflaged objects: S, adaptive F, mean E, MAE.
        Camouflage = "camouflage",
        /// Salient objects: S, adaptive F, mean E, MAE.
        Salient = "salient",
        /// Marine animals: mIoU, S, weighted F, mean E, MAE.
        Marine = "marine",
        /// Mirrors: IoU, F, MAE, all as [`MirrorScores`](super::MirrorScores).
        Mirror = "mirror",
        /// Polyps: mDice, mIoU.
        Polyp = "polyp",
    }
}

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

/// The scores to show, most telling first: those of the task in the paper's order, or a choice that serves any task.
pub const fn columns(task: Option<Task>) -> &'static [Column] {
    match task {
        Some(task) => task.columns(),
        None => &[S_MEASURE, ADAPTIVE_F, WEIGHTED_F, MEAN_E, MAE, MEAN_DICE, MEAN_IOU, BINARY_DICE, BINARY_IOU],
    }
}

impl Task {
    /// Epochs (paper, section 4.1).
    pub const fn epochs(self) -> u64 {
        match self {
            Self::Camouflage | Self::Salient => 50,
            Self::Marine | Self::Mirror | Self::Polyp => 20,
        }
    }

    /// How training draws its sides (paper, section 4.1).
    pub const fn multi_scale(self) -> MultiScale {
        match self {
            Self::Polyp => MultiScale::Random,
            _ => MultiScale::Off,
        }
    }

    /// The scores that the paper prints for the task, in its order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Camouflage | Self::Salient => &[S_MEASURE, ADAPTIVE_F, MEAN_E, MAE],
            Self::Marine => &[MEAN_IOU, S_MEASURE, WEIGHTED_F, MEAN_E, MAE],
            Self::Mirror => &[MIRROR_IOU, MIRROR_F, MIRROR_MAE],
            Self::Polyp => &[MEAN_DICE, MEAN_IOU],
        }
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
}
