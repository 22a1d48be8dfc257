//! What a person should know before a run starts.

use std::fmt;
use std::path::PathBuf;

use super::memory::Shortage;
use crate::checkpoint::report::Report;
use crate::data::mask::FOREGROUND_ABOVE;
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
    /// A file to start from was given to a run that is past its start.
    StartNotRead {
        /// Its key.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Training may take more memory than there is.
    Memory(Shortage),
    /// What was found in the weight file that the model starts from.
    Weights(Report),
    /// Masks that no image belongs to; they are not used.
    UnusedMasks {
        /// How many.
        count: usize,
        /// Their folder.
        folder: PathBuf,
    },
    /// Masks in which nothing counts as foreground, though they are not black.
    DarkMasks {
        /// How many.
        count: usize,
        /// Their folder.
        folder: PathBuf,
    },
}

impl Note {
    /// Whether the data or the settings may be wrong.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::UnusedMasks { .. } | Self::DarkMasks { .. } | Self::Memory(_))
    }

    /// What it is about, in a word.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::NoGpu { .. } => "device",
            Self::Precision(_) | Self::PrecisionReplaced { .. } => "precision",
            Self::NoCheckpoint { .. } => "resumed",
            Self::Memory(_) => "memory",
            Self::Weights(_) | Self::StartNotRead { .. } => "weights",
            Self::UnusedMasks { .. } | Self::DarkMasks { .. } => "masks",
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
            Self::StartNotRead { key, path } => write!(
                f,
                "{} was not read: `{key}` counts when a run begins, and this one goes on with its checkpoint's weights",
                path.display()
            ),
            Self::Memory(shortage) => shortage.fmt(f),
            Self::Weights(report) => report.fmt(f),
            Self::UnusedMasks { count, folder } => {
                write!(f, "{count} masks in {} have no image and are not used", folder.display())
            }
            Self::DarkMasks { count, folder } => write!(
                f,
                "{count} masks in {} hold nothing above {FOREGROUND_ABOVE}, so no foreground: it must be 255",
                folder.display()
            ),
        }
    }
}
