//! What a person should know of a run's folder before it is gone on with.

use std::fmt;

use crate::checkpoint::found::{BEST, CHECKPOINTS, LAST};

/// What a person should know of a run's folder before it is gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FolderNote {
    /// The file system has no locks: nothing keeps a second process out of the folder.
    NoLocks,
    /// `last` did not stand for the newest whole checkpoint, as after a kill; it does now.
    Repaired {
        /// The step that it stood for, if any.
        named: Option<u64>,
        /// The step that it stands for now.
        step: u64,
    },
    /// The best model so far is not there any more.
    BestMissing {
        /// Its step.
        step: u64,
    },
}

impl fmt::Display for FolderNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocks => {
                f.write_str("its file system has no locks: begin no second process in it while this one trains")
            }
            Self::Repaired { named: None, step } => {
                write!(f, "`{LAST}` was not there: it goes on from {CHECKPOINTS}/{step}, the newest that is whole")
            }
            Self::Repaired { named: Some(named), step } => write!(
                f,
                "`{LAST}` stood for {CHECKPOINTS}/{named}: it goes on from {CHECKPOINTS}/{step}, which is newer and whole"
            ),
            Self::BestMissing { step } => write!(
                f,
                "the best model so far, {CHECKPOINTS}/{step}, is not there any more: `{BEST}` changes when a later one is better"
            ),
        }
    }
}
