//! Why curves or pictures could not be made.

use std::path::PathBuf;

use crate::data::error::DataError;
use crate::files::space::advice;
use crate::train::learner::LearnError;

/// Why curves or pictures could not be made. The model is saved by then.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The log could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of the log is no record.
    #[error("{}, line {line}: {reason}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The curves could not be written.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A sample could not be read, or the contact sheet not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
}
