//! From settings to a run that is ready to train: folder, device, images, model.

use std::path::{Path, PathBuf};

use super::control::Control;
use super::error::TrainError;
use super::events::{Event, Observer, Outcome};
use super::initial_model::{are_alike, open_learner, open_told, told_classes};
use super::learner::Learner;
use super::memory::shortage;
use super::note::Note;
use super::plan::Plan;
use super::prepare_error::PrepareError;
use super::run::{EVERY_ROLE, WEIGHTS, digest_of_weights, is_finished, position, train_together};
use super::run_folder::folder::RunFolder;
use super::run_folder::history::{History, SessionRecord};
use super::run_folder::state::SELECTION_KEY;
use super::session::TrainedClasses;
use super::settings::of_classes::WeightsOfClasses;
use super::settings::settings::Settings;
use super::sources::{OpenError, Sources};
use super::start::{Place, RUNS, Start};
use super::together::moments::tell_optimiser;
use super::together::ranks::Ranks;
use super::together::whole::SplitBatch;
use crate::data::classes::class::Classes;
use crate::data::description::classes::GivenClasses;
use crate::data::error::DataError;
use crate::device::Device;
use crate::digest::Digest;
use crate::kernels::precision::Precision;

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
    path: PathBuf,
    /// Rank 0's, with what was done in it before.
    folder: Option<(RunFolder, History)>,
    learner: Box<dyn Learner>,
}

/// Opens the device, the images and the model, in this order, and the folder last: what is refused leaves no new folder behind, and
/// an old one as it was. `command` is the command line, if there is one, for the run's history. A resumed run's model and optimiser
/// are read from its newest checkpoint, once. Of several ranks, rank 0 reads weights and folder, and tells the others.
///
/// # Errors
/// See [`PrepareError`]. What one rank fails of, all do.
pub fn prepare(
    start: Start,
    command: Vec<String>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Prepared, PrepareError> {
    ranks.settle(prepared(start, command, observer, ranks))
}

/// The work of [`prepare`]; an error of this rank is not known to the others yet.
fn prepared(
    start: Start,
    command: Vec<String>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Prepared, PrepareError> {
    let finished = finished_at(&start, observer)?;
    match ranks.tell_value("whether the run is finished", ranks.is_first().then_some(finished))? {
        Some(step) => Ok(Prepared::AlreadyFinished { step }),
        None => ready(start, command, observer, ranks),
    }
}

/// The last step of an earlier run that has nothing left to do.
fn finished_at(start: &Start, observer: &mut dyn Observer) -> Result<Option<u64>, PrepareError> {
    let Place::Resumed { folder, lengthened, .. } = &start.place else { return Ok(None) };
    tell_folder(folder, observer);
    let path = folder.path().to_owned();
    match folder.state()? {
        Some(state) if is_finished(&state, &Plan::new(&start.settings, state.images)) => match lengthened {
            true => Err(PrepareError::AlreadyEnded { path, step: state.step, length: length(&start.settings) }),
            false => Ok(Some(state.step)),
        },
        Some(_) => Ok(None),
        None => {
            note(observer, Note::NoCheckpoint { folder: path });
            Ok(None)
        }
    }
}

/// Tells what a person should know of a run's folder.
fn tell_folder(folder: &RunFolder, observer: &mut dyn Observer) {
    let path = folder.path();
    folder
        .notes()
        .iter()
        .for_each(|found| note(observer, Note::Folder { folder: path.to_owned(), note: found.clone() }));
}

/// A run that is not finished.
fn ready(
    start: Start,
    command: Vec<String>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Prepared, PrepareError> {
    let Start { mut settings, place, data, kept, any_memory } = start;
    let device = open_device(&mut settings, &place, observer, ranks)?;
    let sources = open_sources(&settings, &place, data, kept.as_deref(), observer, ranks)?;
    sources.notes.iter().for_each(|found| note(observer, found.clone()));
    let plan = Plan::new(&settings, sources.training.len());
    let saved = match &place {
        Place::Resumed { folder, .. } => position(&plan, &sources, folder)?.map(|state| (folder, state.step)),
        Place::New(_) | Place::Numbered { .. } | Place::Elsewhere { .. } => None,
    };
    let from_step = saved.as_ref().map(|(_, step)| *step);
    let from_step = ranks.tell_value("the step of the checkpoint", ranks.is_first().then_some(from_step))?;
    let resumed = from_step.is_some();
    match settings.split_batch && ranks.are_several() {
        true => SplitBatch::check(&device)?,
        false if ranks.size() > settings.accumulate => {
            note(observer, Note::IdleRanks { ranks: ranks.size(), batches: settings.accumulate });
        }
        false => {}
    }
    if let Place::Resumed { moved, .. } = &place
        && resumed
    {
        moved.iter().for_each(|(key, path)| note(observer, Note::StartNotRead { key, path: path.clone() }));
    }
    // before the model, which takes memory
    let classes = sources.training.classes();
    let (_, local) = ranks.group().local();
    let parts = if settings.split_batch { ranks.size() } else { 1 };
    if let Some(shortage) = shortage(&settings, sources.training.len(), classes, &device, resumed, local, parts) {
        match shortage.is_hopeless() && !any_memory {
            true => return Err(PrepareError::Memory(Box::new(shortage))),
            false => note(observer, Note::Memory(shortage)),
        }
    }
    let classes = trained_classes(&mut settings, &sources, resumed)?;
    compare(&settings, &device, &sources, ranks)?;
    let named = sources.training.classes();
    let (mut learner, report) = match &place {
        Place::Elsewhere { .. } => (open_told(&settings, &device, &classes, ranks)?, None),
        _ => {
            let saved = saved.as_ref().map(|(folder, _)| folder.last_model());
            let mut tell = |found| note(observer, found);
            open_learner(&settings, &device, &classes, named, saved.as_deref(), ranks, &mut tell)?
        }
    };
    if let Some((folder, _)) = saved {
        folder.restore_optimiser(&mut *learner)?;
    }
    if ranks.are_several() {
        tell_optimiser(ranks, &mut *learner)?;
        ranks.compare_all(&[(WEIGHTS, digest_of_weights(&*learner, &EVERY_ROLE))])?;
    }
    if let Some(report) = report {
        note(observer, Note::Weights(report));
    }
    if !matches!(place, Place::Resumed { .. } | Place::Elsewhere { resumed: true, .. }) {
        observer.event(&Event::Creating);
    }
    let session = SessionRecord::begin(command, &device, settings.precision, from_step.unwrap_or(0));
    let folder = open_folder(place, &settings, session, observer)?;
    let path = folder.as_ref().map(|(folder, _)| folder.path().to_owned());
    let path = ranks.tell_value("the run's folder", path)?;
    Ok(Prepared::Run(Box::new(PreparedRun { settings, sources, path, folder, learner })))
}

/// The device, which may change the precision of a new run.
fn open_device(
    settings: &mut Settings,
    place: &Place,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Device, PrepareError> {
    let (local, _) = ranks.group().local();
    let device = settings.device.open_for(local)?;
    if let Some(reason) = device.not_a_gpu() {
        note(observer, Note::NoGpu { reason: reason.to_string() });
    }
    if let Some(remark) = device.remark(settings.precision) {
        note(observer, Note::Precision(remark));
    }
    if !device.supports(settings.precision) {
        let (precision, needs) = (settings.precision, device.needs(settings.precision));
        match place {
            Place::Resumed { folder, .. } => {
                return Err(PrepareError::OtherPrecision { path: folder.path().to_owned(), precision, needs });
            }
            Place::Elsewhere { path, resumed: true } => {
                return Err(PrepareError::OtherPrecision { path: path.clone(), precision, needs });
            }
            _ => note(observer, Note::PrecisionReplaced { precision, needs }),
        }
        settings.precision = Precision::F32;
    }
    Ok(device)
}

/// The images that the program gave, or that the settings name.
fn open_sources(
    settings: &Settings,
    place: &Place,
    data: Option<Sources>,
    kept: Option<&Path>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Sources, PrepareError> {
    if let Some(data) = data {
        return Ok(data);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut progress = |done, of| observer.event(&Event::Checking { done, of });
    let threads = settings.threads.or(ranks.threads()).unwrap_or(cores);
    let opened = Sources::open_with(settings, threads, kept, &mut progress, ranks);
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
    opened.map_err(|error| match (error, place) {
        (OpenError::Readers(error), _) => error.into(),
        (OpenError::Data(error), Place::Resumed { .. }) if gone(&error) => PrepareError::Moved(error),
        (OpenError::Data(error), _) => error.into(),
    })
}

/// Sees whether all ranks are about to do the same.
fn compare(settings: &Settings, device: &Device, sources: &Sources, ranks: &Ranks) -> Result<(), PrepareError> {
    if !ranks.are_several() {
        return Ok(());
    }
    let of_text = |text: &str| {
        let mut digest = Digest::new();
        digest.text(text);
        digest.number()
    };
    let computed = device.computes_in(settings.precision);
    // single precision rounds alike on every CPU; sums of rounded products do not
    let by = if computed == Precision::F32 { String::new() } else { device.instructions(settings.precision) };
    let arithmetic = format!("{} {} {by}", device.name(), computed.name());
    ranks.compare_all(&[
        ("the arithmetic (device, precision, instructions)", of_text(&arithmetic)),
        ("the images and masks (their names and sizes)", sources.digest()),
        ("the settings", of_text(&serde_json::to_string(settings).unwrap_or_default())),
    ])?;
    Ok(ranks.distinct_gpus(&device.identity().unwrap_or_default())?)
}

/// The run's folder, with this session begun in its history; rank 0's.
fn open_folder(
    place: Place,
    settings: &Settings,
    session: SessionRecord,
    observer: &mut dyn Observer,
) -> Result<Option<(RunFolder, History)>, PrepareError> {
    let (mut folder, mut history, new) = match place {
        Place::New(path) => (RunFolder::create(&path, settings)?, History::default(), true),
        Place::Numbered { name, .. } => {
            (RunFolder::create_numbered(Path::new(RUNS), name, settings)?, History::default(), true)
        }
        Place::Resumed { folder, history, .. } => (folder, history, false),
        Place::Elsewhere { .. } => return Ok(None),
    };
    if new {
        tell_folder(&folder, observer);
    }
    history.sessions.push(session);
    if let Err(error) = folder.write_history(&history) {
        if new {
            folder.abandon();
        }
        return Err(error.into());
    }
    Ok(Some((folder, history)))
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
        &self.path
    }

    /// Trains to the end of the run, or until `control` stops it; then it is saved.
    ///
    /// # Errors
    /// See [`TrainError`].
    pub fn train(
        mut self,
        control: Control<'_>,
        observer: &mut dyn Observer,
        ranks: &Ranks,
    ) -> Result<Outcome, TrainError> {
        let folder = self.folder.as_mut().map(|(folder, _)| folder);
        let outcome =
            train_together(&self.settings, &self.sources, folder, &mut *self.learner, control, observer, ranks);
        let told = match &outcome {
            Ok(Outcome::Stopped { .. }) => "stopped".to_string(),
            Ok(_) => "finished".to_string(),
            Err(error) => error.to_string(),
        };
        if let Some((folder, history)) = &mut self.folder {
            let step = folder.saved().unwrap_or(0);
            if let Some(session) = history.sessions.last_mut() {
                session.end(step, told);
            }
            // the run's own outcome counts: its history is for people
            let _ = folder.write_history(history);
        }
        outcome
    }
}
