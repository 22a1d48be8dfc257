//! Why a run cannot start.

use std::path::PathBuf;

use super::learner::LearnError;
use super::memory::Shortage;
use super::run_folder::error::FolderError;
use super::settings::error::SettingsError;
use super::sources::EmptySet;
use super::together::error::{RankFailure, RanksError};
use super::together::whole::SplitError;
use crate::checkpoint::error::CheckpointError;
use crate::data::error::DataError;
use crate::device::DeviceError;
use crate::kernels::precision::Precision;
use crate::metrics::classes::key::ClassKey;

/// Why a run cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The settings do not hold.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A weight file does not serve.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model could not be built.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A weight file is of another variant than the run.
    #[error("{} is of the variant {found}, the run of {wanted}", path.display())]
    OtherVariant {
        /// The file.
        path: PathBuf,
        /// Its variant.
        found: String,
        /// The run's.
        wanted: String,
    },
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A run that ended was made longer, but not long enough to go on.
    #[error(
        "{} has made {step} steps and would end there again: the shorter of {length} counts; make both longer",
        path.display()
    )]
    AlreadyEnded {
        /// Its folder.
        path: PathBuf,
        /// The steps that it has made.
        step: u64,
        /// Its length, as its settings have it.
        length: String,
    },
    /// A run goes on in its own precision only.
    #[error(
        "{} was trained in {precision}, which takes {needs}: resume it on such a device, or start a new run in f32 with it as \
         `init`",
        path.display()
    )]
    OtherPrecision {
        /// Its folder.
        path: PathBuf,
        /// Its precision.
        precision: Precision,
        /// What a device must have for it.
        needs: &'static str,
    },
    /// The settings name no images, and the program gave none.
    #[error(
        "{}: the images of this run were given by a program; only a program that gives them again can resume it",
        path.display()
    )]
    NoImages {
        /// The run's folder.
        path: PathBuf,
    },
    /// A set is empty.
    #[error(transparent)]
    Empty(#[from] EmptySet),
    /// The data of a resumed run is not where it was.
    #[error(
        "{0}: if the data was moved, give its new place (`images`, `masks`, `val_images`, `val_masks`, `data`, `annotations`, `train_list`, `val_list`)"
    )]
    Moved(DataError),
    /// The score that is to choose the best model is none of these classes'.
    #[error("`best_by` = {key}: {reason}")]
    BestBy {
        /// The score.
        key: ClassKey,
        /// Why not.
        reason: String,
    },
    /// The validation set has other classes than the training set.
    #[error(
        "the training set has {training}, but the validation set has {validation}; both must have the same, in the same order"
    )]
    OtherClasses {
        /// The training set's.
        training: String,
        /// The validation set's.
        validation: String,
    },
    /// The classes are not those that a run's model was trained on.
    #[error(
        "{} was trained on {run}, but now there are {now}: a run goes on with the classes that it had, in their order (`classes`)",
        path.display()
    )]
    ClassesChanged {
        /// The run's newest model.
        path: PathBuf,
        /// Its classes.
        run: String,
        /// Those of the images.
        now: String,
    },
    /// Training takes more memory than there is.
    #[error("{0}")]
    Memory(Box<Shortage>),
    /// A batch cannot be split on this device.
    #[error("`split_batch`: {0}")]
    Split(#[from] SplitError),
    /// Another process of the run cannot begin, is lost, or is not like this one.
    #[error(transparent)]
    Ranks(#[from] RanksError),
}

impl RankFailure for PrepareError {}
