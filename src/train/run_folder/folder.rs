//! A run's folder, so kept that the process may be killed at any moment.
//!
//! ```text
//! config.toml                 the resolved settings
//! run.json                    when, where and by what command it was trained
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
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint;
use super::error::FolderError;
use super::history::History;
use super::log::{Log, Record};
use super::names::{BEST, CONFIG, HISTORY, LAST, LOG, MODEL, SET_ASIDE, STATE};
use super::state::State;
use crate::files::folder::remove;
use crate::files::replace::{Folder, Replacement, recover};
use crate::files::write::write_in_own_folder;
use crate::train::learner::Learner;
use crate::train::settings::settings::Settings;

/// A run's folder, in the hands of this process alone.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    log: Log,
}

impl RunFolder {
    /// Starts a run in the folder `path`, which is made if it does not exist, and writes its settings.
    ///
    /// # Errors
    /// When it holds a run already, or cannot be written to.
    pub fn create(path: &Path, settings: &Settings) -> Result<Self, FolderError> {
        Self::check_unused(path)?;
        fs::create_dir_all(path).map_err(|source| FolderError::Write { path: path.to_owned(), source })?;
        let mut folder = Self { path: path.to_owned(), log: Log::lock(path)? };
        folder.write_settings(settings)?;
        Ok(folder)
    }

    /// Whether [`create`](Self::create) would find a run there: to ask before work that takes long.
    ///
    /// # Errors
    /// When it holds a run.
    pub fn check_unused(path: &Path) -> Result<(), FolderError> {
        let logged = fs::metadata(path.join(LOG)).is_ok_and(|log| log.len() > 0);
        if logged || [CONFIG, HISTORY, LAST, BEST].iter().any(|name| path.join(name).exists()) {
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
        let folder = Self { path: path.to_owned(), log: Log::lock(path)? };
        for name in [LAST, BEST] {
            let place = path.join(name);
            recover(&place).map_err(|source| FolderError::Write { path: place, source })?;
        }
        Ok(folder)
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
        Self::best_model_in(&self.path)
    }

    /// The best model of the run in the folder `path`.
    pub fn best_model_in(path: &Path) -> PathBuf {
        path.join(BEST).join(MODEL)
    }

    /// The run's settings file.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The log.
    pub fn log_path(&self) -> PathBuf {
        self.log.path().to_owned()
    }

    /// The run's settings.
    ///
    /// # Errors
    /// When `config.toml` cannot be read or does not hold.
    pub fn settings(&self) -> Result<Settings, FolderError> {
        Ok(Settings::read(&self.config_path())?)
    }

    /// Writes the run's settings, in place of those before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_settings(&mut self, settings: &Settings) -> Result<(), FolderError> {
        write_file(&self.config_path(), &settings.to_toml()?)
    }

    /// The run's sessions so far; none in a folder of a version that did not record them.
    ///
    /// # Errors
    /// When `run.json` cannot be read.
    pub fn history(&self) -> Result<History, FolderError> {
        let path = self.path.join(HISTORY);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
            Err(source) => return Err(FolderError::Read { path, source }),
        };
        serde_json::from_slice(&text).map_err(|e| FolderError::Damaged {
            path,
            reason: format!("no history of a run: {e}; nothing depends on this file, so rename or remove it"),
        })
    }

    /// Writes the run's sessions, in place of those before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_history(&mut self, history: &History) -> Result<(), FolderError> {
        write_file(&self.path.join(HISTORY), &history.to_text())
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
    pub(in crate::train) fn changed(&self, reason: String) -> FolderError {
        FolderError::Damaged { path: self.path.join(LAST).join(STATE), reason }
    }

    /// Puts the moments and the step count of the newest checkpoint into `learner`, which was built from
    /// [`last_model`](Self::last_model).
    ///
    /// # Errors
    /// When the file cannot be read or is not one of this model.
    pub fn restore_optimiser(&self, learner: &mut dyn Learner) -> Result<(), FolderError> {
        checkpoint::restore_optimiser(&self.path.join(LAST), learner)
    }

    /// Prepares to go on from `state`: cuts off what the log holds beyond it, and puts the best model of
    /// whole epochs back where the end of an unfinished one took its place. Gives how many lines of before are lost.
    ///
    /// # Errors
    /// When the log or the folder cannot be read or written.
    pub fn rewind(&mut self, state: &State) -> Result<u64, FolderError> {
        let kept = self.log.truncate(state.log_lines)?;
        let best = self.path.join(BEST);
        let aside = self.path.join(SET_ASIDE);
        if aside.exists() {
            remove(&best)
                .and_then(|()| fs::rename(&aside, &best))
                .map_err(|source| FolderError::Write { path: best, source })?;
        }
        Ok(state.log_lines - kept)
    }

    /// Appends a line to the log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&mut self, record: &Record) -> Result<(), FolderError> {
        self.log.append(record)
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
        checkpoint::check_finite(learner)?;
        state.log_lines = self.log.sync()?;
        let staged = self.begin(LAST)?;
        checkpoint::write_model(learner, staged.path(), metadata)?;
        checkpoint::write_moments(learner, staged.path())?;
        write_file(&staged.path().join(STATE), &state.to_text())?;
        self.commit(staged, LAST)
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
        checkpoint::check_finite(learner)?;
        let mut staged = self.begin(BEST)?;
        let aside = self.path.join(SET_ASIDE);
        if !whole_epoch && !aside.exists() {
            staged.keep_replaced(aside);
        }
        checkpoint::write_model(learner, staged.path(), metadata)?;
        self.commit(staged, BEST)
    }

    /// Marks the newest checkpoint as the run's end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, state: &mut State) -> Result<(), FolderError> {
        state.finished = true;
        write_file(&self.path.join(LAST).join(STATE), &state.to_text())
    }

    /// A new folder that is to replace the folder `name`.
    fn begin(&self, name: &str) -> Result<Replacement<Folder>, FolderError> {
        let path = self.path.join(name);
        Replacement::folder(&path).map_err(|source| FolderError::Write { path, source })
    }

    /// Puts it in place.
    fn commit(&self, staged: Replacement<Folder>, name: &str) -> Result<(), FolderError> {
        staged.commit().map_err(|source| FolderError::Write { path: self.path.join(name), source })
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), FolderError> {
    write_in_own_folder(path, text).map_err(|source| FolderError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::layers::resolve;

    fn settings() -> Settings {
        resolve(&[]).unwrap().settings
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
        assert!(message.contains("holds a run already"), "{message}");
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
}
