//! Training in a program of one's own: from settings and images to a trained model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::control::Control;
use super::error::TrainError;
use super::events::{Event, Outcome};
use super::prepare::{Prepared, prepare};
use super::prepare_error::PrepareError;
use super::run_folder::folder::RunFolder;
use super::settings::layers::Layer;
use super::settings::settings::Settings;
use super::sources::Sources;
use super::start::Start;
use super::together::error::{RankFailure, RanksError};
use super::together::ranks::Ranks;
use crate::data::dataset::Dataset;
use crate::digest::Digest;
use crate::group::alone::Alone;
use crate::group::processes::Group;

/// A training run: new ([`new`](Self::new)) or resumed ([`resume`](Self::resume)).
///
/// ```no_run
/// use sam2unet::train::{Settings, Trainer};
///
/// let settings = Settings {
///     images: Some("photos".into()),
///     masks: Some("masks".into()),
///     epochs: Some(20),
///     ..Settings::default()
/// };
/// let trained = Trainer::new(settings).out("runs/mine").on_event(|event| println!("{event:?}")).run()?;
/// println!("the best model is {}", trained.best_model().display());
/// # Ok::<(), sam2unet::train::RunError>(())
/// ```
#[must_use = "nothing is trained before `run`"]
pub struct Trainer<'a> {
    begin: Begin,
    data: Option<Sources>,
    observer: Box<dyn FnMut(&Event) + Send + 'a>,
    control: Control<'a>,
    any_memory: bool,
    command: Vec<String>,
    kept: Option<PathBuf>,
    group: Arc<dyn Group>,
}

#[derive(Debug)]
enum Begin {
    New { settings: Box<Settings>, out: Option<PathBuf> },
    Resume { folder: PathBuf, given: Layer },
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not start: the input was wrong. No step was made: a new run leaves no folder, and a run that exists keeps its
    /// checkpoints; what a kill had cut off in its folder may have been put right.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// It ended early. The last checkpoint is intact.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// The reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// Another process of the run failed.
    #[error(transparent)]
    Ranks(#[from] RanksError),
}

impl RankFailure for RunError {}

impl RunError {
    /// Whether it is what another process of the run told, or what all of them found.
    pub fn is_of_all(&self) -> bool {
        matches!(self, Self::Ranks(_) | Self::Prepare(PrepareError::Ranks(_)) | Self::Train(TrainError::Ranks(_)))
    }
}

/// A run that came to its end, or was stopped and saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedRun {
    /// How it ended.
    pub outcome: Outcome,
    /// Its folder.
    pub folder: PathBuf,
}

impl TrainedRun {
    /// The file of the best model so far; there is none yet in a run that was stopped in its first epoch.
    pub fn best_model(&self) -> PathBuf {
        RunFolder::best_model_in(&self.folder)
    }
}

impl<'a> Trainer<'a> {
    /// A new run with these settings, which name the folders of images and masks unless [`data`](Self::data) gives them.
    pub fn new(settings: Settings) -> Self {
        Self::begin(Begin::New { settings: Box::new(settings), out: None })
    }

    /// The run in this folder, from its newest checkpoint on: to the same bytes as without the interruption.
    pub fn resume(folder: impl Into<PathBuf>) -> Self {
        Self::begin(Begin::Resume { folder: folder.into(), given: Layer::default() })
    }

    fn begin(begin: Begin) -> Self {
        Self {
            begin,
            data: None,
            observer: Box::new(|_| ()),
            control: Control::default(),
            any_memory: false,
            command: Vec::new(),
            kept: None,
            group: Arc::new(Alone),
        }
    }

    /// Images of one's own, where the settings name none; without `validation` nothing is held out. A run on such images goes on
    /// with them only.
    pub fn data(mut self, training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>) -> Self {
        self.data = Some(Sources::of(training, validation));
        self
    }

    /// The folder for the results of a new run, which must hold none; without it one under `runs`. A resumed run stays where it is.
    pub fn out(mut self, folder: impl AsRef<Path>) -> Self {
        if let Begin::New { out, .. } = &mut self.begin {
            *out = Some(folder.as_ref().to_owned());
        }
        self
    }

    /// Values for a resumed run: in place of its own its length, what changes its results by rounding at most, and
    /// where its data lies (`"epochs = 40".parse()?`); others only as the run has them. A new run has its settings.
    pub fn with(mut self, values: Layer) -> Self {
        if let Begin::Resume { given, .. } = &mut self.begin {
            *given = values;
        }
        self
    }

    /// Calls `observer` with each event of the run.
    pub fn on_event(mut self, observer: impl FnMut(&Event) + Send + 'a) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Saves and stops soon after `flag` is set.
    pub fn stop_when(mut self, flag: &'a AtomicBool) -> Self {
        self.control.stop = Some(flag);
        self
    }

    /// Saves soon after `flag` is set, takes it back, and goes on: to the same bytes as without.
    pub fn save_when(mut self, flag: &'a AtomicBool) -> Self {
        self.control.save = Some(flag);
        self
    }

    /// Begins even if training is estimated to take more memory than there is.
    pub fn any_memory(mut self) -> Self {
        self.any_memory = true;
        self
    }

    /// The command line to record in the run's `run.json`.
    pub fn command(mut self, words: Vec<String>) -> Self {
        self.command = words;
        self
    }

    /// Remembers in this folder what was found of image files, so that those that are as they were are not decoded again before the
    /// next run.
    pub fn remember_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.kept = Some(folder.into());
        self
    }

    /// Trains with the other processes of this group, which call the same with equal arguments: each takes its part of the batches of
    /// a step ([`accumulate`](Settings::accumulate)), and the results are those of one process, byte for byte. Rank 0 alone writes
    /// into the run's folder. Each rank's observer hears of the run's events.
    ///
    /// Where the settings name no number of threads, each rank takes its share of its machine's cores.
    pub fn group(mut self, group: Arc<dyn Group>) -> Self {
        self.group = group;
        self
    }

    /// Trains: on the current threads of rayon, or on as many of its own as the settings ask for.
    ///
    /// # Errors
    /// When the run cannot start, or ends early.
    pub fn run(self) -> Result<TrainedRun, RunError> {
        let mut ranks = Ranks::of(self.group.clone()).map_err(PrepareError::from)?;
        let run = self.run_on(&mut ranks);
        ranks.settle(run)
    }

    fn run_on(self, ranks: &mut Ranks) -> Result<TrainedRun, RunError> {
        let Self { begin, data, mut observer, control, any_memory, command, kept, group: _ } = self;
        if ranks.are_several() {
            let given = begin.digest();
            let same =
                ranks.compare_all(&[("the program", program()), ("the arguments, or the working directory", given)]);
            same.map_err(PrepareError::from)?;
        }
        let own = match begin {
            _ if !ranks.is_first() => None,
            Begin::New { settings, out } => Some(Start::new(*settings, out, data.clone())?),
            Begin::Resume { folder, given } => Some(Start::resume(&folder, &given, data.clone())?),
        };
        let start = Start::on_all(own, data, ranks)?.remember_in(kept);
        let start = if any_memory { start.any_memory() } else { start };
        let (expected, threads) = (start.path().to_owned(), start.settings().threads);
        if let Some(threads) = threads {
            ranks.set_threads(threads);
        }
        let (threads, ranks) = (threads.or(ranks.threads()), &*ranks);
        let train = || match prepare(start, command, &mut observer, ranks)? {
            Prepared::Run(run) => {
                let folder = run.folder().to_owned();
                Ok(TrainedRun { outcome: run.train(control, &mut observer, ranks)?, folder })
            }
            Prepared::AlreadyFinished { step } => {
                Ok(TrainedRun { outcome: Outcome::AlreadyFinished { step }, folder: expected })
            }
        };
        match threads {
            Some(threads) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.map_err(|source| RunError::Threads { threads, source })?.install(train)
            }
            None => train(),
        }
    }
}

impl Begin {
    /// What tells it from what other arguments begin.
    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.text(&format!("{self:?}"));
        digest.number()
    }
}

/// What tells this program from other versions of it.
fn program() -> u64 {
    let mut digest = Digest::new();
    digest.text(env!("CARGO_PKG_VERSION"));
    digest.text(option_env!("SAM2UNET_COMMIT").unwrap_or_default());
    digest.number()
}
