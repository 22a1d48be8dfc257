//! Why training ended early.

use super::learner::LearnError;
use super::report::error::ReportError;
use super::run_folder::error::FolderError;
use super::sources::EmptySet;
use super::together::error::{RankFailure, RanksError};
use crate::data::error::DataError;
use crate::metrics::classes::error::ClassError;
use crate::metrics::pair::MetricError;

/// Why training ended early. The last checkpoint is intact in every case.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss was no finite number.
    #[error(
        "the loss is {loss} in epoch {epoch}, step {step}, at learning rate {rate:e} and side {side}, on {}; {}. \
         Try a lower learning rate, or look at these images",
        names.join(", "),
        saved_before(*saved)
    )]
    Loss {
        /// The loss.
        loss: f64,
        /// The epoch, from 1.
        epoch: u64,
        /// The step, from 1.
        step: u64,
        /// The learning rate.
        rate: f64,
        /// The side of the batch.
        side: usize,
        /// The batch's samples.
        names: Vec<String>,
        /// The step of the newest checkpoint.
        saved: Option<u64>,
    },
    /// The run's folder failed: a full disk, for example.
    #[error("{source}; {}", saved_before(*saved))]
    Folder {
        /// What failed.
        source: FolderError,
        /// The step of the newest checkpoint.
        saved: Option<u64>,
    },
    /// The run's folder could not be used at all.
    #[error(transparent)]
    Start(FolderError),
    /// A set is empty.
    #[error(transparent)]
    Empty(#[from] EmptySet),
    /// The run was trained, but its curves or pictures could not be made.
    #[error("the model is trained and saved, but: {0}")]
    Report(#[from] ReportError),
    /// A sample could not be read any more.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A prediction could not be scored.
    #[error("{name}: {source}")]
    Metric {
        /// The sample.
        name: String,
        /// Why.
        source: MetricError,
    },
    /// A prediction of several classes could not be scored.
    #[error("{name}: {source}")]
    ClassMetric {
        /// The sample.
        name: String,
        /// Why.
        source: ClassError,
    },
    /// The model failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// Another process of the run failed, is lost, or is not like this one.
    #[error(transparent)]
    Ranks(#[from] RanksError),
}

impl RankFailure for TrainError {}

fn saved_before(step: Option<u64>) -> String {
    match step {
        Some(step) => format!("the checkpoint of step {step} is kept in `last`"),
        None => "there is no checkpoint yet".to_string(),
    }
}
