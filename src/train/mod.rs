//! Training: from settings to a folder with a trained model.
//!
//! In the order in which a run goes:
//!
//! 1. [`Layer`]s (a file, what was given) become [`Settings`] ([`resolve`]);
//! 2. [`Start`] checks them and the place for results ([`RunFolder`]);
//! 3. [`prepare`](prepare()) opens the images ([`Sources`]) and builds the model with its optimiser ([`AdamW`]): a [`Session`],
//!    which the loop knows as a [`Learner`];
//! 4. [`train`](train()) runs the loop of a [`Plan`]: steps at the rate of the schedule ([`cosine`]), validation,
//!    checkpoints, a log, and at the end curves and pictures.
//!
//! [`Trainer`] does all of it in one call.
//!
//! The same settings, images and starting weights give the same checkpoints to the byte, whether the run
//! went through in one go or was stopped, or killed, and resumed any number of times. That holds on one kind of
//! device: a GPU rounds otherwise than the CPU, and a run may move from one to the other.

pub(crate) mod adamw;
pub(crate) mod control;
pub(crate) mod epoch_scores;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod gradient_walk;
pub(crate) mod initial_model;
pub(crate) mod learner;
pub(crate) mod memory;
pub(crate) mod note;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod prepare_error;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod run_folder;
pub(crate) mod schedule;
pub(crate) mod sent;
pub(crate) mod session;
pub mod settings;
pub(crate) mod sources;
pub(crate) mod start;
pub(crate) mod step;
pub(crate) mod together;
pub(crate) mod trainer;
pub(crate) mod validation;

pub use crate::device::DeviceChoice;
pub use crate::nn::Loss;
pub use adamw::{AdamW, AdamWConfig};
pub use control::Control;
pub use error::TrainError;
pub use events::{Event, Observer, Outcome};
pub use gradient_walk::take_gradients;
pub use learner::{BatchSender, EachMoment, LearnError, Learner, LearnerSummary, MomentsOf, StepSizes};
pub use memory::{MachineMemory, MemoryOf, Shortage};
pub use note::Note;
pub use overview::Overview;
pub use plan::{Plan, Step};
pub use prepare::{Prepared, PreparedRun, prepare};
pub use prepare_error::PrepareError;
pub use report::curves::write_curves;
pub use report::error::ReportError;
pub use report::samples::write_samples;
pub use run::{is_finished, train, train_together};
pub use run_folder::error::FolderError;
pub use run_folder::folder::RunFolder;
pub use run_folder::history::{History, SessionRecord};
pub use run_folder::holder::Holder;
pub use run_folder::log::Record;
pub use run_folder::note::FolderNote;
pub use run_folder::state::{Best, SELECTION_KEY, STATE_FORMAT, State};
pub use schedule::{FINAL_RATE, cosine};
pub use session::{Session, TrainedClasses, open_session, open_session_on};
pub use settings::{Generated, Layer, Resolved, Settings, SettingsError, resolve, resolve_for_own_images};
pub use sources::{DataReport, EmptySet, InspectedFolders, Sources};
pub use start::Start;
pub use together::cut::Cut;
pub use together::sum::GradientSum;
pub use together::whole::{SplitBatch, SplitError};
pub use together::{RankFailure, Ranks, RanksError, Wishes};
pub use trainer::{RunError, TrainedRun, Trainer};
pub use validation::{Selection, ValidationScores};
