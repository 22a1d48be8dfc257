//! From image files to mask files.
//!
//! [`Images`] are found first, and [`Like`], the masks whose sizes are wanted; with a [`Destination`] they become
//! [`Job`]s ([`plan()`]), which are checked before anything is written; of these some may be done already
//! ([`not_done`]). A [`Predictor`] does one after the other ([`predict_all`]). Which files there are depends on the classes of the
//! model: one mask where there is one class, an index map where classes exclude each other, a mask for each where they may overlap.
//! A [`Prediction`] is what the model says of one image, for programs that write no files.

pub(crate) mod all;
pub(crate) mod error;
pub(crate) mod existing;
pub(crate) mod images;
pub(crate) mod job;
pub(crate) mod like;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod prediction;
pub(crate) mod predictor;

pub use crate::data::classes::folders::ClassFolders;
pub use all::{End, Predicted, predict_all};
pub use error::PredictError;
pub use existing::not_done;
pub use images::Images;
pub use job::{Destination, Job, ProbabilityFiles, ProbabilityFormat};
pub use like::Like;
pub use options::PredictOptions;
pub use plan::{PlanOptions, plan};
pub use prediction::Prediction;
pub use predictor::Predictor;
