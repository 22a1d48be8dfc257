//! What a person should know before a run starts.

use std::fmt;
use std::path::PathBuf;

use super::memory::Shortage;
use super::run_folder::note::FolderNote;
use crate::checkpoint::found::{FoundAs, FoundModel};
use crate::checkpoint::report::Report;
use crate::data::warning::Warning;
use crate::kernels::precision::Precision;

/// What a person should know before a run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A GPU was looked for in vain: the CPU computes.
    NoGpu {
        /// Why there is none.
        reason: String,
    },
    /// How the device computes in the precision asked for.
    Precision(String),
    /// The device does not have the precision asked for: f32 takes its place.
    PrecisionReplaced {
        /// What was asked for.
        precision: Precision,
        /// What a device must have for it.
        needs: &'static str,
    },
    /// The run that is resumed has no checkpoint: it starts again at step 0.
    NoCheckpoint {
        /// Its folder.
        folder: PathBuf,
    },
    /// What a person should know of the run's folder.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What.
        note: FolderNote,
    },
    /// Which file was taken where `init` or `backbone` names a folder.
    Found(FoundModel),
    /// A file to start from was given to a run that is past its start.
    StartNotRead {
        /// Its key.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// More processes than batches in a step: some of them have nothing to do.
    IdleRanks {
        /// How many processes there are.
        ranks: usize,
        /// Batches in a step.
        batches: usize,
    },
    /// Training may take more memory than there is.
    Memory(Shortage),
    /// What was found in the weight file that the model starts from.
    Weights(Report),
    /// The weight file is of a model of other classes: its heads are not taken.
    OtherClasses {
        /// The file.
        path: PathBuf,
        /// Its classes.
        found: String,
        /// The run's.
        wanted: String,
    },
    /// Which layout and which labels were found.
    Described(String),
    /// Something about the images or the masks.
    Data(Warning),
}

impl Note {
    /// Whether the data or the settings may be wrong.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Data(warning) => warning.is_suspicious(),
            Self::Memory(_) | Self::Folder { .. } | Self::IdleRanks { .. } => true,
            // another model than the one that was meant
            Self::Found(found) => matches!(found.kind, FoundAs::LastForBest { .. }),
            _ => false,
        }
    }

    /// What it is about, in a word.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::NoGpu { .. } => "device",
            Self::Precision(_) | Self::PrecisionReplaced { .. } => "precision",
            Self::NoCheckpoint { .. } => "resumed",
            Self::Folder { .. } => "folder",
            Self::Memory(_) => "memory",
            Self::IdleRanks { .. } => "processes",
            Self::Found(_) | Self::Weights(_) | Self::OtherClasses { .. } | Self::StartNotRead { .. } => "weights",
            Self::Described(_) | Self::Data(_) => "data",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGpu { reason } => write!(f, "{reason}: the CPU computes"),
            Self::Precision(remark) => f.write_str(remark),
            Self::PrecisionReplaced { precision, needs } => {
                write!(f, "this device computes no {precision} products, which take {needs}: f32 in its place")
            }
            Self::NoCheckpoint { folder } => {
                write!(f, "{} holds no checkpoint: the run starts at step 0", folder.display())
            }
            Self::Folder { folder, note } => write!(f, "{}: {note}", folder.display()),
            Self::Found(found) => write!(f, "from {found}"),
            Self::StartNotRead { key, path } => write!(
                f,
                "{} was not read: `{key}` counts when a run begins, and this one goes on with its checkpoint's weights",
                path.display()
            ),
            Self::IdleRanks { ranks, batches } => write!(
                f,
                "{ranks} processes, but a step has {batches} batch{}, so {} of them have nothing to do; `accumulate` = {ranks} would use \
                 them all (a step is then of more images, which may want another learning rate), and so would `split_batch`, which cuts \
                 each batch",
                if *batches == 1 { "" } else { "es" },
                ranks - batches
            ),
            Self::Memory(shortage) => shortage.fmt(f),
            Self::Weights(report) => report.fmt(f),
            Self::OtherClasses { path, found, wanted } => write!(
                f,
                "{} is a model of {found}, and this run has {wanted}: all is taken from it but the heads (`head`, `side1`, `side2`), \
                 which begin at random",
                path.display()
            ),
            Self::Described(found) => f.write_str(found),
            Self::Data(warning) => warning.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_runs_folder_is_a_warning() {
        let notes =
            [FolderNote::NoLocks, FolderNote::BestMissing { step: 3 }, FolderNote::Repaired { named: None, step: 3 }];
        for note in notes {
            let note = Note::Folder { folder: "run".into(), note };
            assert!(note.is_warning() && note.topic() == "folder", "{note}");
        }
        let found = |kind| Note::Found(FoundModel { path: "run/last/model.safetensors".into(), kind });
        assert!(found(FoundAs::LastForBest { best: "checkpoints/3".into() }).is_warning());
        assert!(!found(FoundAs::Last).is_warning());
        assert!(!Note::NoCheckpoint { folder: "run".into() }.is_warning());
    }
}
