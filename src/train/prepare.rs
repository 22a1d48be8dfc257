//! From settings to a run that is ready to train: folder, device, images, model.

use std::path::{Path, PathBuf};

use super::adamw::AdamWConfig;
use super::control::Control;
use super::error::TrainError;
use super::events::{Event, Observer, Outcome};
use super::learner::{LearnError, Learner};
use super::memory::{Shortage, shortage};
use super::note::Note;
use super::plan::Plan;
use super::run::{is_finished, position, train};
use super::run_folder::error::FolderError;
use super::run_folder::folder::RunFolder;
use super::run_folder::history::{History, SessionRecord};
use super::run_folder::state::SELECTION_KEY;
use super::session::{TrainedClasses, open_session_on};
use super::settings::error::SettingsError;
use super::settings::key::Change;
use super::settings::layers::{Layer, resume};
use super::settings::of_classes::WeightsOfClasses;
use super::settings::settings::{KEYS, Settings};
use super::sources::{EmptySet, Sources};
use crate::checkpoint::detect::detect;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::{FoundAs, find_model};
use crate::checkpoint::load::{Scope, classes_of, load};
use crate::checkpoint::report::Report;
use crate::data::classes::class::Classes;
use crate::data::description::classes::GivenClasses;
use crate::data::error::DataError;
use crate::device::{Device, DeviceError};
use crate::kernels::precision::Precision;
use crate::metrics::classes::key::ClassKey;
use crate::nn::network::{catalogue, specs};
use crate::nn::weights::build::BuildOptions;
use crate::nn::weights::initialiser::Initialiser;
use crate::nn::weights::source::WeightSource;

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
}

/// A run that is to begin, or to go on: its settings are known and checked, its folder is free or open. Nothing of the run was
/// changed yet.
#[derive(Debug)]
pub struct Start {
    settings: Settings,
    place: Place,
    /// Images that the program gives; otherwise the settings name them.
    data: Option<Sources>,
    /// Where is remembered what was found of image files.
    kept: Option<PathBuf>,
    /// Whether the run begins though it is estimated to take more memory than there is.
    any_memory: bool,
}

#[derive(Debug)]
enum Place {
    /// Where a new run is to be.
    New(PathBuf),
    /// The name, numbered, of the folder in [`RUNS`] where a new run is to be.
    Numbered {
        name: &'static str,
        /// The folder, if nobody else takes it before.
        expected: PathBuf,
    },
    /// An earlier run.
    Resumed {
        folder: RunFolder,
        history: History,
        /// Whether another length was given.
        lengthened: bool,
        /// Files to start from that were given in the place of others, with their keys.
        moved: Vec<(&'static str, PathBuf)>,
    },
}

impl Start {
    /// A new run in the folder `out`, or else in `runs/demo`, `runs/TASK` or `runs/train`, numbered. It trains on `data`, or else
    /// on the images that the settings name.
    ///
    /// # Errors
    /// When the settings do not hold together (see [`Settings::check`]), a set is empty, or the folder holds a run.
    pub fn new(mut settings: Settings, out: Option<PathBuf>, data: Option<Sources>) -> Result<Self, PrepareError> {
        settings.check(data.is_some())?;
        settings.make_absolute();
        let named = data.is_some() || settings.names_files();
        let name = settings.task.map_or(if named { "train" } else { "demo" }, |task| task.name());
        let place = match out {
            Some(out) => Place::New(out),
            None => Place::Numbered { name, expected: RunFolder::unused(Path::new(RUNS), name) },
        };
        if let Place::New(out) = &place {
            RunFolder::check_unused(out)?;
        }
        data.iter().try_for_each(Sources::check_not_empty)?;
        Ok(Self { settings, place, data, kept: None, any_memory: false })
    }

    /// The run in the folder `path`, with its settings but for those of `given` that may be others ([`Change`]). A run
    /// on `data` goes on with `data` only.
    ///
    /// # Errors
    /// When the folder holds no run, another process trains in it, or `given` holds a value that would make another run
    /// of it.
    pub fn resume(path: &Path, given: &Layer, data: Option<Sources>) -> Result<Self, PrepareError> {
        let folder = RunFolder::open(path)?;
        let settings = resume(&folder.config_path(), given)?.settings;
        let run = folder.settings()?;
        match data {
            Some(_) => settings.check(true)?,
            None if settings.names_no_images() => return Err(PrepareError::NoImages { path: path.to_owned() }),
            None => {}
        }
        data.iter().try_for_each(Sources::check_not_empty)?;
        let history = folder.history()?;
        let lengthened = (run.epochs, run.steps) != (settings.epochs, settings.steps);
        let moved = moved(run, settings.clone());
        let place = Place::Resumed { folder, history, lengthened, moved };
        Ok(Self { settings, place, data, kept: None, any_memory: false })
    }

    /// Remembers in this folder what was found of image files, so that those that are as they were are not decoded again before the
    /// next run.
    pub fn remember_in(mut self, folder: Option<PathBuf>) -> Self {
        self.kept = folder;
        self
    }

    /// Begins even if training is estimated to take more memory than there is.
    pub fn any_memory(mut self) -> Self {
        self.any_memory = true;
        self
    }

    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The run's folder. A new run's may not exist yet; without `out` it gets the next number if another run takes this one first
    /// ([`PreparedRun::folder`] tells).
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::New(path) | Place::Numbered { expected: path, .. } => path,
            Place::Resumed { folder, .. } => folder.path(),
        }
    }
}

/// Where runs go by default.
const RUNS: &str = "runs";

/// The files to start from whose place is another one than the run's.
fn moved(mut run: Settings, mut settings: Settings) -> Vec<(&'static str, PathBuf)> {
    let mut before = Vec::new();
    run.each_path(&mut |key, path| before.push((key, path.clone())));
    let mut moved = Vec::new();
    settings.each_path(&mut |key, path| {
        let is_start = KEYS.iter().any(|known| known.name == key && known.change == Change::Start);
        if is_start && !before.contains(&(key, path.clone())) {
            moved.push((key, path.clone()));
        }
    });
    moved
}

/// What [`prepare`] gives.
pub enum Prepared {
    /// A run that is ready to train.
    Run(Box<PreparedRun>),
    /// The run had come to its end before.
    AlreadyFinished {
        /// Steps made.
        step: u64,
    },
}

/// A run that is ready to train.
pub struct PreparedRun {
    settings: Settings,
    sources: Sources,
    folder: RunFolder,
    learner: Box<dyn Learner>,
    history: History,
}

/// Opens the device, the images and the model, in this order, and the folder last: what is refused leaves no new folder behind, and
/// an old one as it was. `command` is the command line, if there is one, for the run's history. A resumed run's model and optimiser
/// are read from its newest checkpoint, once.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare(start: Start, command: Vec<String>, observer: &mut dyn Observer) -> Result<Prepared, PrepareError> {
    let Start { mut settings, place, data, kept, any_memory } = start;
    if let Place::Resumed { folder, lengthened, .. } = &place {
        let path = folder.path();
        folder
            .notes()
            .iter()
            .for_each(|found| note(observer, Note::Folder { folder: path.to_owned(), note: found.clone() }));
        match folder.state()? {
            Some(state) if is_finished(&state, &Plan::new(&settings, state.images)) => {
                let (path, step) = (folder.path().to_owned(), state.step);
                return match lengthened {
                    true => Err(PrepareError::AlreadyEnded { path, step, length: length(&settings) }),
                    false => Ok(Prepared::AlreadyFinished { step }),
                };
            }
            Some(_) => {}
            None => note(observer, Note::NoCheckpoint { folder: folder.path().to_owned() }),
        }
    }
    let device = settings.device.open()?;
    if let Some(reason) = device.not_a_gpu() {
        note(observer, Note::NoGpu { reason: reason.to_string() });
    }
    if let Some(remark) = device.remark(settings.precision) {
        note(observer, Note::Precision(remark));
    }
    if !device.supports(settings.precision) {
        let (precision, needs) = (settings.precision, device.needs(settings.precision));
        if let Place::Resumed { folder, .. } = &place {
            return Err(PrepareError::OtherPrecision { path: folder.path().to_owned(), precision, needs });
        }
        note(observer, Note::PrecisionReplaced { precision, needs });
        settings.precision = Precision::F32;
    }
    let sources = match data {
        Some(data) => data,
        None => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let mut progress = |done, of| observer.event(&Event::Checking { done, of });
            let threads = settings.threads.unwrap_or(cores);
            let opened = Sources::open(&settings, threads, kept.as_deref(), &mut progress);
            // what is left where the data was may be nothing, an empty folder, or a part
            let gone = |error: &DataError| {
                matches!(
                    error,
                    DataError::ReadFolder { .. }
                        | DataError::EmptyFolder { .. }
                        | DataError::MissingMask { .. }
                        | DataError::Layout(_)
                        | DataError::Names(_)
                        | DataError::Annotations(_)
                        | DataError::NoneListed { .. }
                        | DataError::NoLabelFiles { .. }
                )
            };
            opened.map_err(|error| match &place {
                Place::Resumed { .. } if gone(&error) => PrepareError::Moved(error),
                _ => error.into(),
            })?
        }
    };
    sources.notes.iter().for_each(|found| note(observer, found.clone()));
    let plan = Plan::new(&settings, sources.training.len());
    let (resumed, from_step) = match &place {
        Place::New(_) | Place::Numbered { .. } => (None, 0),
        Place::Resumed { folder, .. } => match position(&plan, &sources, folder)? {
            Some(state) => (Some(folder), state.step),
            None => (None, 0),
        },
    };
    if let Place::Resumed { moved, .. } = &place
        && resumed.is_some()
    {
        moved.iter().for_each(|(key, path)| note(observer, Note::StartNotRead { key, path: path.clone() }));
    }
    // before the model, which takes memory
    let classes = sources.training.classes();
    if let Some(shortage) = shortage(&settings, sources.training.len(), classes, &device, resumed.is_some()) {
        match shortage.is_hopeless() && !any_memory {
            true => return Err(PrepareError::Memory(Box::new(shortage))),
            false => note(observer, Note::Memory(shortage)),
        }
    }
    let saved = resumed.map(RunFolder::last_model);
    let classes = trained_classes(&mut settings, &sources, resumed.is_some())?;
    let named = sources.training.classes();
    let (mut learner, report) =
        open_learner(&settings, &device, &classes, named, saved.as_deref(), &mut |found| note(observer, found))?;
    if let Some(folder) = resumed {
        folder.restore_optimiser(&mut *learner)?;
    }
    if let Some(report) = report {
        note(observer, Note::Weights(report));
    }
    if let Place::New(_) | Place::Numbered { .. } = &place {
        observer.event(&Event::Creating);
    }
    let (mut folder, mut history, new) = match place {
        Place::New(path) => (RunFolder::create(&path, &settings)?, History::default(), true),
        Place::Numbered { name, .. } => {
            (RunFolder::create_numbered(Path::new(RUNS), name, &settings)?, History::default(), true)
        }
        Place::Resumed { folder, history, .. } => (folder, history, false),
    };
    if new {
        let path = folder.path();
        folder
            .notes()
            .iter()
            .for_each(|found| note(observer, Note::Folder { folder: path.to_owned(), note: found.clone() }));
    }
    history.sessions.push(SessionRecord::begin(command, &device, settings.precision, from_step));
    if let Err(error) = folder.write_history(&history) {
        if new {
            folder.abandon();
        }
        return Err(error.into());
    }
    Ok(Prepared::Run(Box::new(PreparedRun { settings, sources, folder, learner, history })))
}

/// For people: `3 exclusive classes (background, cat, dog)`.
fn told_classes(classes: Option<&Classes>) -> String {
    classes.map_or("one class without a name".to_string(), Classes::told)
}

/// Whether both are of the same classes in the same order; `None` is one without a name.
fn are_alike(one: Option<&Classes>, other: Option<&Classes>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_like(other),
        _ => false,
    }
}

/// That a run goes on with the classes that it had, in their order: each output of the model is one of them.
fn check_same_classes(path: &Path, run: Option<&Classes>, now: Option<&Classes>) -> Result<(), PrepareError> {
    match are_alike(run, now) {
        true => Ok(()),
        false => {
            Err(PrepareError::ClassesChanged { path: path.to_owned(), run: told_classes(run), now: told_classes(now) })
        }
    }
}

/// What the classes of a model are whose heads say something else than those of the run, so that they are not taken: `found` is
/// the number of its outputs, `told` what its file says of them.
fn other_classes(found: Option<usize>, told: Option<&Classes>, run: Option<&Classes>) -> Option<String> {
    let count = run.map_or(1, Classes::len);
    match (found, told) {
        (_, Some(told)) if run.is_some_and(|run| run.is_like(told)) => None,
        // one class is one class, whatever its name
        (Some(1), _) if count == 1 => None,
        (_, Some(told)) => Some(told.told()),
        (Some(found), None) if found != count => Some(match found {
            1 => told_classes(None),
            _ => format!("{found} classes"),
        }),
        _ => None,
    }
}

/// What the model is trained to tell apart; class weights that are to be found are written into the settings.
///
/// # Errors
/// When the sets have different classes, or the settings say what these do not have.
fn trained_classes(settings: &mut Settings, sources: &Sources, resumed: bool) -> Result<TrainedClasses, PrepareError> {
    let classes = sources.training.classes();
    if let Some(validation) = sources.validation.as_ref().map(|set| set.classes())
        && !are_alike(classes, validation)
    {
        return Err(PrepareError::OtherClasses {
            training: told_classes(classes),
            validation: told_classes(validation),
        });
    }
    if let Some(key) = settings.best_by {
        let refused = |reason: String| Err(PrepareError::BestBy { key, reason });
        match (classes, key.kind()) {
            (None, _) => return refused(format!("there is one class; its best model is chosen by {SELECTION_KEY}")),
            (Some(classes), Some(kind)) if kind != classes.kind => {
                return refused(format!("only {kind} classes have it, and these are {}", classes.kind));
            }
            _ if sources.validation.is_none() => {
                return refused("there is no validation set, so the best model is chosen by its loss".to_string());
            }
            _ if key.lower_is_better() => {
                let reason =
                    "images where a class is missed are left out of it, so that a model which finds little would win";
                return refused(reason.to_string());
            }
            _ => {}
        }
    }
    if let Some(given) = &settings.class_weights {
        // what was found for another run's images is found anew for this one's
        let given = if let (WeightsOfClasses::Found(_), false) = (given, resumed) {
            &WeightsOfClasses::Balanced
        } else {
            given
        };
        settings.class_weights = Some(sources.class_weights(given)?);
    }
    if let Some((labels, names)) = sources.found_classes() {
        settings.labels.get_or_insert(labels);
        settings.classes.get_or_insert(GivenClasses::named(names));
    }
    let weights = settings.class_weights.as_ref().and_then(WeightsOfClasses::numbers);
    Ok(TrainedClasses {
        count: classes.map_or(1, Classes::len),
        weights: weights.map(|numbers| numbers.iter().map(|number| *number as f32).collect()),
    })
}

fn note(observer: &mut dyn Observer, note: Note) {
    observer.event(&Event::Note(&note));
}

/// The limits that a run ends at, as its settings have them.
fn length(settings: &Settings) -> String {
    let limit = |name: &str, value: Option<u64>| value.map(|value| format!("`{name}` {value}"));
    let limits = [limit("epochs", settings.epochs), limit("steps", settings.steps)];
    limits.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

impl PreparedRun {
    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Trains to the end of the run, or until `control` stops it; then it is saved.
    ///
    /// # Errors
    /// See [`TrainError`].
    pub fn train(mut self, control: Control<'_>, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let outcome = train(&self.settings, &self.sources, &mut self.folder, &mut *self.learner, control, observer);
        let told = match &outcome {
            Ok(Outcome::Stopped { .. }) => "stopped".to_string(),
            Ok(_) => "finished".to_string(),
            Err(error) => error.to_string(),
        };
        let step = self.folder.saved().unwrap_or(0);
        if let Some(session) = self.history.sessions.last_mut() {
            session.end(step, told);
        }
        // the run's own outcome counts: its history is for people
        let _ = self.folder.write_history(&self.history);
        outcome
    }
}

/// Builds the model of `settings` on `device` with its optimiser: from the checkpoint `saved`, if there is one, otherwise from
/// `init`, from `backbone` with random adapters and decoder, or all random. Gives what was found in the file that was read, if any.
///
/// # Errors
/// When a file cannot be read or does not fit the variant, or the device fails.
fn open_learner(
    settings: &Settings,
    device: &Device,
    classes: &TrainedClasses,
    named: Option<&Classes>,
    saved: Option<&Path>,
    note: &mut dyn FnMut(Note),
) -> Result<(Box<dyn Learner>, Option<Report>), PrepareError> {
    let mut random = Initialiser::new(settings.seed);
    let whole = saved.or(settings.init.as_deref());
    let mut find = |path: &Path| -> Result<PathBuf, CheckpointError> {
        let found = find_model(path)?;
        if found.kind != FoundAs::Given {
            note(Note::Found(found.clone()));
        }
        Ok(found.path)
    };
    let (learner, report) = match (whole, &settings.backbone) {
        (Some(path), _) => {
            let path = find(path)?;
            let file = WeightFile::open(&path)?;
            let told = Classes::of_metadata(file.metadata()).unwrap_or_default();
            if saved.is_some() {
                check_same_classes(&path, told.as_ref(), named)?;
            }
            let other = other_classes(classes_of(&file), told.as_ref(), named).filter(|_| saved.is_none());
            let scope = if other.is_some() { Scope::AllButHeads } else { Scope::All };
            let opened = from_file(settings, device, classes, &file, scope, &mut random)?;
            if let Some(found) = other {
                note(Note::OtherClasses { path, found, wanted: told_classes(named) });
            }
            opened
        }
        (None, Some(path)) => {
            from_file(settings, device, classes, &WeightFile::open(&find(path)?)?, Scope::Trunk, &mut random)?
        }
        (None, None) => (open(settings, device, classes, &mut random), None),
    };
    Ok((learner?, report))
}

type Opened = Result<Box<dyn Learner>, LearnError>;

/// The file gives what is in `scope`, `rest` gives everything else.
fn from_file(
    settings: &Settings,
    device: &Device,
    classes: &TrainedClasses,
    file: &WeightFile,
    scope: Scope,
    rest: &mut dyn WeightSource,
) -> Result<(Opened, Option<Report>), PrepareError> {
    let loaded = load(file, &specs(settings.variant, classes.count), scope);
    if let Err(CheckpointError::Mismatch { .. }) = &loaded
        && let Ok(found) = detect(file, &catalogue())
        && found != settings.variant
    {
        let (path, wanted) = (file.path().to_owned(), settings.variant.to_string());
        return Err(PrepareError::OtherVariant { path, found: found.to_string(), wanted });
    }
    let (loaded, report) = loaded?;
    Ok((open(settings, device, classes, &mut loaded.with_rest(rest)), Some(report)))
}

fn open(settings: &Settings, device: &Device, classes: &TrainedClasses, source: &mut dyn WeightSource) -> Opened {
    let config = AdamWConfig { weight_decay: settings.weight_decay, ..AdamWConfig::default() };
    let compute = BuildOptions { precision: settings.precision, memory: settings.memory };
    open_session_on(device, settings.variant, source, classes, config, compute)
}
