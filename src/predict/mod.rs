//! From image files to mask files.
//!
//! [`Images`] are found first, and [`Like`], the masks whose sizes are wanted; with a [`Destination`] they become
//! [`Job`]s ([`plan()`]), which are checked before anything is written; of these some may be done already
//! ([`not_done`]). A [`Predictor`] does one after the other ([`predict_all`]).

pub(crate) mod all;
pub(crate) mod error;
pub(crate) mod existing;
pub(crate) mod images;
pub(crate) mod job;
pub(crate) mod like;
pub(crate) mod plan;
pub(crate) mod predictor;

pub use all::{End, Predicted, predict_all};
pub use error::PredictError;
pub use existing::not_done;
pub use images::Images;
pub use job::{Destination, Job};
pub use like::Like;
pub use plan::{PlanOptions, plan};
pub use predictor::{PredictOptions, Predictor};
