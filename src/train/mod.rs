//! Training: from settings to a folder with a trained model.
//!
//! In the order in which a run goes:
//!
//! 1. [`Choices`] (flags, a file) become [`Settings`];
//! 2. [`Sources`] opens and checks the images, [`RunFolder`] the place for results;
//! 3. [`open_learner`] builds the model with its optimiser ([`AdamW`]): a [`Session`], which the loop
//!    knows as a [`Learner`];
//! 4. [`train`] runs the loop of a [`Plan`]: steps at the rate of the schedule ([`cosine`]), validation,
//!    checkpoints, a log, and at the end curves and pictures.
//!
//! The same settings, images and starting weights give the same checkpoints to the byte, whether the run
//! went through in one go or was stopped, or killed, and resumed any number of times. That holds on one kind of
//! device: a GPU rounds otherwise than the CPU, and a run may move from one to the other.

pub(crate) mod adamw;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod learner;
pub(crate) mod note;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod run_folder;
pub(crate) mod schedule;
pub(crate) mod session;
pub mod settings;
pub(crate) mod sources;
pub(crate) mod trainer;

pub use crate::device::DeviceChoice;
pub use crate::nn::Loss;
pub use adamw::{AdamW, AdamWConfig};
pub use error::TrainError;
pub use events::{Event, Observer, Outcome};
pub use learner::{EachMoment, LearnError, Learner, LearnerSummary, MomentsOf};
pub use note::Note;
pub use overview::Overview;
pub use plan::{Plan, Step};
pub use prepare::{PrepareError, Prepared, Run, Start, prepare};
pub use report::curves::write_curves;
pub use report::error::ReportError;
pub use report::samples::write_samples;
pub use run::{is_finished, train};
pub use run_folder::error::FolderError;
pub use run_folder::folder::RunFolder;
pub use run_folder::history::{History, SessionRecord};
pub use run_folder::log::Record;
pub use run_folder::state::{Best, SELECTION_KEY, State};
pub use schedule::{FINAL_RATE, cosine};
pub use session::{Session, open_session, open_session_on};
pub use settings::{Generated, Layer, Resolved, Settings, SettingsError, resolve};
pub use sources::Sources;
pub use trainer::{RunError, TrainedRun, Trainer};
