//! Why a run's folder could not be used.

use std::io;
use std::path::PathBuf;

use super::names::CONFIG;
use crate::checkpoint::error::CheckpointError;
use crate::train::learner::LearnError;
use crate::train::settings::error::SettingsError;

/// Why a run's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run already.
    #[error("{} holds a run already, which is not overwritten", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("{} holds no run: it has no {CONFIG}", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in it.
    #[error("another process is training in {}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}{}", path.display(), if is_full(source) { FULL } else { "" })]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the run was changed or damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The run's settings do not hold.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A weight file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is not one of this model.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A weight is no finite number any more; it was not saved.
    #[error("{name} is not finite any more: the last update went wrong (try a lower learning rate)")]
    NotFinite {
        /// The weight.
        name: String,
    },
}

/// What to do about a full disk.
const FULL: &str = " (free some space, then resume the run)";

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
