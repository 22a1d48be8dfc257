//! From image files to mask files.
//!
//! [`Images`] are found first; with a [`Destination`] they become [`Job`]s, which are checked before anything is
//! written; a [`Predictor`] does one after the other.

pub(crate) mod error;
pub(crate) mod images;
pub(crate) mod predictor;

pub use error::PredictError;
pub use images::{Destination, Images, Job};
pub use predictor::{PredictOptions, Predictor};
