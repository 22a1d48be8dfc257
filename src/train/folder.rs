//! A run's folder, so kept that the process may be killed at any moment.
//!
//! ```text
//! config.toml                 the resolved settings
//! log.jsonl                   one object a step, one a validation
//! last/model.safetensors      the newest checkpoint; beside it what a resume needs:
//! last/optimiser.safetensors  AdamW's moments
//! last/state.json             the position in the run
//! best/model.safetensors      the best model so far
//! best.epoch/                 only after a run that ended inside an epoch: the best of whole epochs, for a resume
//! ```
//!
//! A checkpoint is written into a new folder, `last.new`, which then takes the place of `last` by two
//! renames; [`RunFolder::open`] finishes an exchange that was cut in two. So model, moments and position
//! are always of one step. The position says how many lines of the log belong to it; lines after them
//! are cut off before a run goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::learner::{LearnError, Learner};
use super::settings::{Settings, SettingsError};
use crate::checkpoint::{self, CheckpointError, WeightFile};
use crate::metrics::Summary;
use crate::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const LAST: &str = "last";
const BEST: &str = "best";
const MODEL: &str = "model.safetensors";
const OPTIMISER: &str = "optimiser.safetensors";
const STATE: &str = "state.json";
/// The best model of whole epochs, while `best` holds the end of an unfinished one.
const SET_ASIDE: &str = "best.epoch";
/// What PyTorch calls the first and the second moment.
const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// The position in a run: everything a resume needs that is neither weight nor moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Training images.
    pub images: usize,
    /// Digest of their names.
    pub names: String,
    /// Optimiser steps made in all.
    pub step: u64,
    /// Epochs closed: trained and, where there is a validation set, validated.
    pub epoch: u64,
    /// Steps made in the epoch that is under way.
    pub step_in_epoch: u64,
    /// Sum of their losses.
    pub epoch_loss: f64,
    /// The best model so far.
    pub best: Option<Best>,
    /// Lines of the log up to here.
    pub log_lines: u64,
    /// Whether the run came to its end here, curves and pictures written.
    pub finished: bool,
}

impl State {
    /// Before the first step of a run on `images` training images.
    pub fn new(images: usize, names: String) -> Self {
        let (step, epoch, step_in_epoch, log_lines) = (0, 0, 0, 0);
        Self { images, names, step, epoch, step_in_epoch, epoch_loss: 0.0, best: None, log_lines, finished: false }
    }
}

/// Which model `best` holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The epoch after which it was saved, from 1.
    pub epoch: u64,
    /// Optimiser steps it was trained for.
    pub step: u64,
    /// Its `sample_biiou` on the validation set, or its epoch's mean loss where there is none.
    pub score: f64,
}

/// A line of the log.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Record<'a> {
    /// An optimiser step.
    Step {
        /// Which step, from 1.
        step: u64,
        /// In which epoch, from 1.
        epoch: u64,
        /// Mean loss over the step's images.
        loss: f64,
        /// Learning rate.
        lr: f64,
        /// Seconds it took, waiting for data included.
        seconds: f64,
    },
    /// A validation.
    Validation {
        /// After which epoch, from 1.
        epoch: u64,
        /// Every score by its key.
        validation: &'a Summary,
    },
}

/// Why a run's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run already.
    #[error(
        "{0} holds a run already, which is not overwritten: go on in it with --resume {0}, or choose another --out",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("{} holds no run: it has no {CONFIG}. --resume takes the folder that `train` wrote into (its --out)", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in it.
    #[error("another process is training in {}: stop it first, or choose another --out", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}{}", path.display(), if is_full(source) { FULL } else { "" })]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the run was changed or damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The run's settings do not hold.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A weight file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is not one of this model.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A weight is no finite number any more; it was not saved.
    #[error("{name} is not finite any more: the last update went wrong (try a lower --lr)")]
    NotFinite {
        /// The weight.
        name: String,
    },
}

/// What to do about a full disk.
const FULL: &str = " (free some space, then go on with --resume)";

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A run's folder, in the hands of this process alone.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    log: File,
    log_lines: u64,
}

impl RunFolder {
    /// Starts a run in the folder `path`, which is made if it does not exist, and writes its settings.
    ///
    /// # Errors
    /// When it holds a run already, or cannot be written to.
    pub fn create(path: &Path, settings: &Settings) -> Result<Self, FolderError> {
        Self::check_unused(path)?;
        fs::create_dir_all(path).map_err(|source| FolderError::Write { path: path.to_owned(), source })?;
        let mut folder = Self::lock(path)?;
        folder.write_settings(settings)?;
        Ok(folder)
    }

    /// Whether [`create`](Self::create) would find a run there: to ask before work that takes long.
    ///
    /// # Errors
    /// When it holds a run.
    pub fn check_unused(path: &Path) -> Result<(), FolderError> {
        let logged = fs::metadata(path.join(LOG)).is_ok_and(|log| log.len() > 0);
        if logged || [CONFIG, LAST, BEST].iter().any(|name| path.join(name).exists()) {
            return Err(FolderError::Occupied { path: path.to_owned() });
        }
        Ok(())
    }

    /// Opens the folder of an earlier run and completes what was cut off when it was killed.
    ///
    /// # Errors
    /// When it holds no run, another process trains in it, or it cannot be written to.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if !path.join(CONFIG).is_file() {
            return Err(FolderError::NoRun { path: path.to_owned() });
        }
        let folder = Self::lock(path)?;
        for name in [LAST, BEST] {
            let place = Exchange::of(path, name);
            place.recover().map_err(|source| FolderError::Write { path: place.at.clone(), source })?;
        }
        Ok(folder)
    }

    /// Opens the log, which shows that the folder can be written to, and keeps other processes out.
    fn lock(path: &Path) -> Result<Self, FolderError> {
        let write = |source| FolderError::Write { path: path.join(LOG), source };
        let log = File::options().read(true).append(true).create(true).open(path.join(LOG)).map_err(write)?;
        match log.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), log, log_lines: 0 }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy { path: path.to_owned() }),
            // some network file systems have no locks
            Err(TryLockError::Error(_)) => Ok(Self { path: path.to_owned(), log, log_lines: 0 }),
        }
    }

    /// The first of `PARENT/NAME`, `PARENT/NAME-2`, ... that does not exist: where a run goes by default.
    pub fn unused(parent: &Path, name: &str) -> PathBuf {
        let numbered = (2u64..).map(|n| parent.join(format!("{name}-{n}")));
        let mut places = std::iter::once(parent.join(name)).chain(numbered);
        places.find(|path| !path.exists()).unwrap_or_else(|| parent.join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model of the newest checkpoint, in `last`.
    pub fn last_model(&self) -> PathBuf {
        self.path.join(LAST).join(MODEL)
    }

    /// The best model so far.
    pub fn best_model(&self) -> PathBuf {
        self.path.join(BEST).join(MODEL)
    }

    /// The log.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// The run's settings.
    ///
    /// # Errors
    /// When `config.toml` cannot be read or does not hold.
    pub fn settings(&self) -> Result<Settings, FolderError> {
        Ok(Settings::read(&self.path.join(CONFIG))?)
    }

    /// Writes the run's settings, in place of those before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_settings(&mut self, settings: &Settings) -> Result<(), FolderError> {
        write_whole(&self.path.join(CONFIG), settings.to_toml()?.as_bytes())
    }

    /// The position of the newest checkpoint; `None` if the run has none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state(&self) -> Result<Option<State>, FolderError> {
        let path = self.path.join(LAST).join(STATE);
        if !self.path.join(LAST).exists() {
            return Ok(None);
        }
        let text = fs::read(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
        let state = serde_json::from_slice(&text)
            .map_err(|e| FolderError::Damaged { path, reason: format!("no position of a run: {e}") })?;
        Ok(Some(state))
    }

    /// The error that the newest checkpoint's position does not belong to this run any more.
    pub(super) fn changed(&self, reason: String) -> FolderError {
        FolderError::Damaged { path: self.path.join(LAST).join(STATE), reason }
    }

    /// Puts the newest checkpoint's weights and moments into `learner`.
    ///
    /// # Errors
    /// When a file cannot be read or is not one of this model.
    pub fn restore(&self, learner: &mut dyn Learner) -> Result<(), FolderError> {
        let mut model = StoredModel(WeightFile::open(&self.last_model())?);
        let optimiser = WeightFile::open(&self.path.join(LAST).join(OPTIMISER))?;
        let steps = optimiser.metadata().get("steps").and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or_else(|| FolderError::Damaged {
            path: optimiser.path().to_owned(),
            reason: "it does not say after how many steps it was written (`steps` in its metadata)".to_string(),
        })?;
        let mut moments = |name: &str| {
            let [first, second] = MOMENTS.map(|moment| optimiser.values(&format!("{moment}.{name}")).ok());
            Some((first?, second?))
        };
        Ok(learner.restore(&mut model, &mut moments, steps)?)
    }

    /// Prepares to go on from `state`: cuts off what the log holds beyond it, and puts the best model of
    /// whole epochs back where the end of an unfinished one took its place. Gives how many lines of before are lost.
    ///
    /// # Errors
    /// When the log or the folder cannot be read or written.
    pub fn rewind(&mut self, state: &State) -> Result<u64, FolderError> {
        let (log, best) = (self.log_path(), self.path.join(BEST));
        self.log_lines = truncate_lines(&mut self.log, state.log_lines)
            .map_err(|source| FolderError::Write { path: log, source })?;
        let aside = self.path.join(SET_ASIDE);
        if aside.exists() {
            remove_folder(&best)
                .and_then(|()| fs::rename(&aside, &best))
                .map_err(|source| FolderError::Write { path: best, source })?;
        }
        Ok(state.log_lines - self.log_lines)
    }

    /// Appends a line to the log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&mut self, record: &Record) -> Result<(), FolderError> {
        let failed = |source| FolderError::Write { path: self.path.join(LOG), source };
        let mut line = serde_json::to_vec(record).map_err(|e| failed(io::Error::other(e)))?;
        line.push(b'\n');
        self.log.write_all(&line).map_err(failed)?;
        self.log_lines += 1;
        Ok(())
    }

    /// Writes the checkpoint `last`. `state.log_lines` is set to what the log holds now.
    ///
    /// # Errors
    /// When a weight is not finite, or something cannot be written: the checkpoint before is intact then.
    pub fn save_last(
        &mut self,
        learner: &dyn Learner,
        state: &mut State,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), FolderError> {
        check_finite(learner)?;
        let failed = |source| FolderError::Write { path: self.path.join(LOG), source };
        self.log.sync_data().map_err(failed)?;
        state.log_lines = self.log_lines;
        Exchange::of(&self.path, LAST).replace(|folder| {
            save_model(learner, folder, metadata)?;
            save_moments(learner, &folder.join(OPTIMISER))?;
            write_whole(&folder.join(STATE), state_text(state).as_bytes())
        })
    }

    /// Writes the model as the best so far. With `whole_epoch` false, the best model of whole epochs is
    /// set aside, so that a run that goes on from here finds it again.
    ///
    /// # Errors
    /// As [`save_last`](Self::save_last).
    pub fn save_best(
        &mut self,
        learner: &dyn Learner,
        metadata: &BTreeMap<String, String>,
        whole_epoch: bool,
    ) -> Result<(), FolderError> {
        check_finite(learner)?;
        let (mut place, aside) = (Exchange::of(&self.path, BEST), self.path.join(SET_ASIDE));
        if !whole_epoch && !aside.exists() {
            (place.old, place.keep_old) = (aside, true);
        }
        place.replace(|folder| save_model(learner, folder, metadata))
    }

    /// Marks the newest checkpoint as the run's end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, state: &mut State) -> Result<(), FolderError> {
        state.finished = true;
        write_whole(&self.path.join(LAST).join(STATE), state_text(state).as_bytes())
    }
}

fn state_text(state: &State) -> String {
    // a struct of numbers always has a JSON form
    serde_json::to_string_pretty(state).unwrap_or_default() + "\n"
}

fn save_model(learner: &dyn Learner, folder: &Path, metadata: &BTreeMap<String, String>) -> Result<(), FolderError> {
    let each_value = |put: &mut dyn FnMut(WeightSpec, Value)| learner.each_value(put);
    Ok(checkpoint::save(&folder.join(MODEL), &learner.specs(), each_value, metadata)?)
}

fn save_moments(learner: &dyn Learner, path: &Path) -> Result<(), FolderError> {
    let spec = |moment: &str, name: &str, count: usize| WeightSpec {
        name: format!("{moment}.{name}"),
        shape: vec![count],
        role: Role::Statistic,
    };
    let mut specs = Vec::new();
    let mut numbers = Vec::new();
    learner.each_moment(&mut |name, first, second| {
        specs.extend(MOMENTS.map(|moment| spec(moment, name, first.len())));
        numbers.extend([first, second].map(|values| Value::Real(values.to_vec())));
    })?;
    let each_value = |put: &mut dyn FnMut(WeightSpec, Value)| {
        specs.iter().cloned().zip(numbers).for_each(|(spec, value)| put(spec, value));
    };
    let metadata = BTreeMap::from([("steps".to_string(), learner.optimiser_steps().to_string())]);
    Ok(checkpoint::save(path, &specs, each_value, &metadata)?)
}

/// A finite loss can have an infinite gradient: then the next loss tells, but no checkpoint must.
fn check_finite(learner: &dyn Learner) -> Result<(), FolderError> {
    let mut bad = None;
    learner.each_value(&mut |spec, value| {
        let changes = matches!(spec.role, Role::Trainable | Role::Statistic);
        if let Value::Real(numbers) = value
            && changes
            && bad.is_none()
            && numbers.iter().any(|x| !x.is_finite())
        {
            bad = Some(spec.name);
        }
    });
    bad.map_or(Ok(()), |name| Err(FolderError::NotFinite { name }))
}

/// A checkpoint of this crate as a source of weights: the names are the model's own.
struct StoredModel(WeightFile);

impl WeightSource for StoredModel {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let failed = |reason| SourceError { name: spec.name.clone(), reason };
        let found = self.0.info(&spec.name).map(|info| info.shape.to_vec());
        if found.as_ref().is_some_and(|shape| *shape != spec.shape) {
            let path = self.0.path().display();
            return Err(failed(format!("{path} has it in the shape {found:?}, the model in {:?}", spec.shape)));
        }
        let value = match spec.role {
            Role::Counter => self.0.count(&spec.name).map(Value::Count),
            _ => self.0.values(&spec.name).map(Value::Real),
        };
        value.map_err(|e| failed(e.to_string()))
    }
}

/// A folder that is replaced as a whole.
struct Exchange {
    at: PathBuf,
    new: PathBuf,
    old: PathBuf,
    keep_old: bool,
}

impl Exchange {
    fn of(parent: &Path, name: &str) -> Self {
        let place = |end: &str| parent.join(format!("{name}{end}"));
        Self { at: place(""), new: place(".new"), old: place(".old"), keep_old: false }
    }

    /// Fills a new folder with `write` and puts it in place; where that fails the old one stays.
    fn replace(&self, write: impl FnOnce(&Path) -> Result<(), FolderError>) -> Result<(), FolderError> {
        let failed = |source| FolderError::Write { path: self.at.clone(), source };
        remove_folder(&self.new).map_err(failed)?;
        let written = fs::create_dir(&self.new).map_err(failed).and_then(|()| write(&self.new));
        if let Err(error) = written {
            // the reason is in `error`; what is left behind is removed at the next start, if not now
            let _ = remove_folder(&self.new);
            return Err(error);
        }
        self.exchange().map_err(failed)
    }

    fn exchange(&self) -> io::Result<()> {
        sync_folder(&self.new)?;
        if self.at.exists() {
            fs::rename(&self.at, &self.old)?;
        }
        fs::rename(&self.new, &self.at)?;
        if let Some(parent) = self.at.parent() {
            sync_folder(parent)?;
        }
        if self.keep_old { Ok(()) } else { remove_folder(&self.old) }
    }

    /// Brings an exchange that was cut off to its end, or undoes it. The old folder moves away only
    /// once the new one is whole.
    fn recover(&self) -> io::Result<()> {
        if !self.at.exists() && self.old.exists() {
            let whole = if self.new.exists() { &self.new } else { &self.old };
            fs::rename(whole, &self.at)?;
        }
        remove_folder(&self.new)?;
        remove_folder(&self.old)
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes names in a folder last through a power failure, where folders can be synchronised.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Writes a small file whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().map_err(|source| {
        // the reason is in `source`
        let _ = fs::remove_file(&new);
        FolderError::Write { path: path.to_owned(), source }
    })
}

/// Cuts a file off after `lines` lines, or after its last whole line; gives the lines it holds then.
fn truncate_lines(file: &mut File, lines: u64) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let (mut kept, mut end) = (0, 0);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if kept == lines {
            break;
        }
        (kept, end) = (kept + 1, at + 1);
    }
    file.set_len(end as u64)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Choices;

    fn settings() -> Settings {
        Choices::default().resolve().unwrap()
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/run");
        assert_eq!(RunFolder::unused(dir.path(), "a"), dir.path().join("a"));
        let folder = RunFolder::create(&path, &settings()).unwrap();
        assert_eq!(folder.settings().unwrap(), settings());
        assert_eq!(folder.state().unwrap(), None);
        assert_eq!(RunFolder::unused(dir.path(), "a"), dir.path().join("a-2"));
        let message = RunFolder::create(&path, &settings()).unwrap_err().to_string();
        assert!(message.contains("--resume") && message.contains("--out"), "{message}");
        let message = RunFolder::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("config.toml"), "{message}");
        assert!(matches!(RunFolder::open(&path), Err(FolderError::Busy { .. })));
        drop(folder);
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn an_output_that_cannot_be_written_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let message = RunFolder::create(&file.join("run"), &settings()).unwrap_err().to_string();
        assert!(message.starts_with("cannot write") && message.contains("file/run"), "{message}");
    }

    #[test]
    fn the_log_is_cut_after_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (lines, kept, text) in [(2, 2, "a\nbb\n"), (0, 0, ""), (9, 3, "a\nbb\nc\n")] {
            fs::write(&path, "a\nbb\nc\nd").unwrap();
            let mut file = File::options().read(true).append(true).open(&path).unwrap();
            assert_eq!(truncate_lines(&mut file, lines).unwrap(), kept);
            file.write_all(b"e\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}e\n"));
        }
    }

    /// Every state that a kill can leave the three folders of an exchange in.
    #[test]
    fn an_exchange_cut_off_anywhere_is_completed_or_undone() {
        let dir = tempfile::tempdir().unwrap();
        let place = Exchange::of(dir.path(), "last");
        let fill = |folder: &Path, text: &str| {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("x"), text).unwrap();
        };
        // (last, last.new, last.old) before; last after
        let cases = [
            (None, None, None, None),
            (None, Some("half"), None, None),
            (Some("1"), Some("half"), None, Some("1")),
            (Some("1"), Some("2"), None, Some("1")),
            (None, Some("2"), Some("1"), Some("2")),
            (Some("2"), None, Some("1"), Some("2")),
            (None, None, Some("1"), Some("1")),
        ];
        for (at, new, old, after) in cases {
            for (folder, text) in [(&place.at, at), (&place.new, new), (&place.old, old)] {
                text.inspect(|text| fill(folder, text));
            }
            place.recover().unwrap();
            assert_eq!(fs::read_to_string(place.at.join("x")).ok().as_deref(), after);
            assert!(!place.new.exists() && !place.old.exists());
            remove_folder(&place.at).unwrap();
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_folder() {
        let dir = tempfile::tempdir().unwrap();
        let place = Exchange::of(dir.path(), "last");
        place.replace(|folder| write_whole(&folder.join("x"), b"1")).unwrap();
        let full = |folder: &Path| {
            write_whole(&folder.join("x"), b"2")?;
            Err(FolderError::Write { path: folder.to_owned(), source: io::Error::from(io::ErrorKind::StorageFull) })
        };
        assert!(place.replace(full).is_err());
        assert_eq!(fs::read_to_string(place.at.join("x")).unwrap(), "1");
        assert!(!place.new.exists());
    }
}
