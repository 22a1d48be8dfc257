//! Which error is which exit status, and what a flag can do about it.

use super::flag_names::with_flags;
use super::measure::MeasureError;
use crate::checkpoint::error::CheckpointError;
use crate::data::error::DataError;
use crate::device::DeviceError;
use crate::metrics::evaluation_error::EvaluationError;
use crate::metrics::parts::error::PartError;
use crate::predict::error::PredictError;
use crate::train::error::TrainError;
use crate::train::prepare_error::PrepareError;
use crate::train::run_folder::error::FolderError;
use crate::train::settings::error::{Difference, Problem, SettingsError, fixed};
use crate::train::settings::key::{Flag, Key};
use crate::train::settings::origin::Origin;
use crate::train::settings::settings::KEYS;
use crate::train::together::error::{RankFailure, RanksError};
use crate::train::trainer::RunError;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// How a subcommand ends. The numbers are exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All was done.
    Done = 0,
    /// Something failed that the input is not to blame for, or only after work was done.
    Failed = 1,
    /// The input was wrong: flags, files. clap's own refusals have this status too.
    WrongInput = 2,
    /// SIGHUP: the terminal is gone. This and the following numbers are what shells make of a signal: 128 and its
    /// number.
    HungUp = 129,
    /// SIGINT: Ctrl-C.
    Interrupted = 130,
    /// SIGUSR1: what SLURM and MPI send ahead of a job's end.
    EndIsNear = 138,
    /// SIGTERM.
    Terminated = 143,
}

/// Why a subcommand failed: the message, which the program prints after the subcommand's name, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub status: Status,
    message: String,
}

impl Failure {
    /// The input was wrong.
    pub fn input(message: impl Display) -> Self {
        Self { status: Status::WrongInput, message: message.to_string() }
    }

    /// The same, named as one rank's.
    pub fn of_rank(self, rank: impl Display) -> Self {
        Self { message: format!("{rank}: {}", self.message), ..self }
    }

    /// Something failed later.
    pub fn later(message: impl Display) -> Self {
        Self { status: Status::Failed, message: message.to_string() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What `--device` can do about a device that cannot be used.
const OTHER_DEVICE: &str = "; --device cpu computes without it";

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::input(format_args!("{error}{OTHER_DEVICE}"))
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let advice = match &error {
            CheckpointError::NoTarget { .. } => ": give `--to trunk`, or `--to sam2-unet --seed N`",
            CheckpointError::NoRest { .. } => ": give `--seed N` to draw them at random",
            _ => "",
        };
        Self::input(format_args!("{error}{advice}"))
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        // behind a list it stands on a line of its own
        let after = |listed: &[PathBuf]| if listed.len() == 1 { "; " } else { "\n" };
        if let PredictError::NoSoftMask(option) = &error {
            return Self::input(format_args!(
                "{}; leave it out",
                error.to_string().replace(&format!("`{option}`"), &format!("--{option}"))
            ));
        }
        let (between, advice) = match &error {
            PredictError::TrainedSize { .. } => ("; ", "give --size N"),
            PredictError::OverImages(_) | PredictError::OverSource(_) | PredictError::Folder { .. } => {
                ("; ", "give another --out")
            }
            PredictError::InTheWay(_) => ("; ", "remove it, or give another --out"),
            PredictError::Existing { files, .. } => {
                (after(files), "give another --out, or --overwrite to replace what is there")
            }
            PredictError::NoMask { without, .. } => {
                (after(without), "leave out --like to predict at the images' sizes")
            }
            PredictError::OneFile { .. } | PredictError::OneFileForClasses { .. } => ("; ", "give a folder as --out"),
            PredictError::MasksAreProbabilities => ("; ", "give --probabilities tiff, or leave it out"),
            PredictError::LabelsOfNoFolder => ("; ", "give --images DIR"),
            PredictError::NoImages { .. } => ("; ", "--images takes an image or a folder of images"),
            _ => ("", ""),
        };
        // the masks of a description are those of --like
        let error = error.to_string().replace("`masks`", "`--like`");
        Self::input(with_flags(format_args!("{error}{between}{advice}")))
    }
}

impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        let between = match &error {
            EvaluationError::SizesDiffer { pairs, .. } if pairs.len() == 1 => "; ",
            EvaluationError::SizesDiffer { .. } => "\n",
            _ => return Self::input(with_flags(error)),
        };
        Self::input(format_args!(
            "{error}{between}write predictions at the masks' sizes: sam2unet predict --like MASKS"
        ))
    }
}

impl From<PartError> for Failure {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Scores(error) => error.into(),
            PartError::Missing { .. } => Self::input(format_args!("{error}; --merge needs all parts")),
            _ => Self::input(with_flags(error)),
        }
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        let advice = match &error {
            MeasureError::Profile => "; give --device cpu",
            _ => "",
        };
        Self::input(format_args!("{error}{advice}"))
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match &error {
            // what the command line gave is named as it was given
            SettingsError::Value { origin: Origin::Given, problem: Problem { key, value: Some(value), reason } } => {
                Self::input(format_args!("--{} {value}: {reason}", key.replace('_', "-")))
            }
            SettingsError::Value { origin: Origin::Given, .. } => Self::input(with_flags(&error)),
            SettingsError::Fixed { config, differences } => {
                Self::input(with_flags(fixed(config, differences, as_given)))
            }
            _ => Self::input(error),
        }
    }
}

/// What was given, as it was given, and what the run has.
fn as_given(difference: &Difference) -> String {
    let key: Option<&Key> = KEYS.iter().find(|key| key.name == difference.key);
    let (Origin::Given, Some(key)) = (&difference.origin, key) else { return difference.to_string() };
    let (flag, of_run) = (key.flag_name().unwrap_or_default(), difference.of_run());
    match key.flag {
        Flag::On | Flag::Off(_) => format!("--{flag} ({of_run})"),
        Flag::Value(_) | Flag::FileOnly => format!("--{flag} {} ({of_run})", difference.given),
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Settings(error) => error.into(),
            PrepareError::Folder(error) => error.into(),
            PrepareError::Device(error) => error.into(),
            PrepareError::Data(error) => error.into(),
            PrepareError::Moved(_) => {
                Self::input(with_flags(format_args!("{error}, as in --images DIR beside --resume")))
            }
            PrepareError::Memory(_) => Self::input(with_flags(format_args!("{error}; --any-memory begins anyway"))),
            PrepareError::OtherVariant { ref found, .. } => {
                Self::input(format_args!("{error}: give --variant {found}, or another file"))
            }
            _ => Self::input(with_flags(error)),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::input(with_flags(error))
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        match &error {
            FolderError::Occupied { path } => {
                let path = path.display();
                Self::input(format_args!("{error}: go on in it with --resume {path}, or choose another --out"))
            }
            FolderError::NoRun { .. } => Self::input(format_args!(
                "{error}. --resume takes the folder that `train` wrote into (its --out); to begin a run there, say what to train \
                     on: --data, --images and --masks, or --demo"
            )),
            FolderError::Busy { .. } | FolderError::Named { .. } => Self::input(format_args!("{error}: stop it first")),
            FolderError::InTheWay { .. } => Self::input(format_args!("{error}, or choose another --out")),
            _ => Self::input(with_flags(error)),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Start(error) => error.into(),
            error => Self::later(error),
        }
    }
}

impl From<RanksError> for Failure {
    fn from(error: RanksError) -> Self {
        let status = match &error {
            RanksError::Failed { code, .. } if *code == Status::Failed as u8 => Status::Failed,
            _ => Status::WrongInput,
        };
        Self { status, message: with_flags(error).to_string() }
    }
}

impl RankFailure for Failure {
    fn code(&self) -> u8 {
        self.status as u8
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Prepare(error) => error.into(),
            RunError::Train(error) => error.into(),
            RunError::Ranks(error) => error.into(),
            RunError::Threads { .. } => Self::later(error),
        }
    }
}
