//! A run's folder, so kept that the process may be killed at any moment.
//!
//! ```text
//! config.toml                                the resolved settings
//! run.json                                   when, where and by what command it was trained
//! running.json                               who trains in it now
//! log.jsonl                                  one object a step, one a validation
//! checkpoints/STEP/model.safetensors         the model after STEP steps; beside it what a resume needs:
//! checkpoints/STEP/optimiser.safetensors     AdamW's moments
//! checkpoints/STEP/state.json                the position in the run
//! last -> checkpoints/STEP                   the newest checkpoint
//! best -> checkpoints/STEP                   the one with the best model so far
//! ```
//!
//! `last` and `best` are relative symbolic links; where links cannot be made, the files `last.txt` and `best.txt` hold the
//! path instead ([`Pointer`]). A model that is both is there once.
//!
//! **What a kill leaves.** A checkpoint is written into `checkpoints/STEP.new` and gets its name by a rename, when all of it is on
//! the disk. Its weights never change after that; a second save at the same step renames a new `state.json` over the old
//! one. Then `last` is turned to it, by renaming a new link over the old one, then `best`. Checkpoints that neither of them, nor the
//! position, nor the setting `keep` holds are removed when the next save begins: renamed to a hidden name first.
//! So a reader finds a whole model under both names at any moment. [`RunFolder::open`] puts right what was cut off: the newest
//! whole checkpoint is where the run stands, and its position names the best one. (To go back to an older one that `keep` kept,
//! remove the newer ones and `last`.) The position says how many lines of the log belong to it; lines after them are cut off
//! before a run goes on.
//!
//! **A run that ends inside an epoch** is scored there, too. If its end is better than the best of whole epochs, `best` stands for
//! it, while the position keeps naming the best of whole epochs, whose checkpoint stays; a resume turns `best` back to that one.
//!
//! **Folders of earlier versions**, where `last` and `best` are folders, are gone on with; the first save moves them to
//! `checkpoints` (`earlier`).
//!
//! **Other processes** are kept out by a lock on the log (`holder`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checkpoint;
use super::checkpoints::{Checkpoints, is_whole};
use super::earlier::restore_best;
use super::error::FolderError;
use super::history::History;
use super::holder::{Hold, Taken, take};
use super::log::{Log, Record};
use super::names::{CONFIG, HISTORY, STATE};
use super::note::FolderNote;
use super::read::{read_history, read_state};
use super::settle::{check_version, settle_best, settle_last};
use super::state::State;
use crate::checkpoint::found::{BEST, LAST, MODEL};
use crate::files::pointer::Pointer;
use crate::files::temporary::sweep;
use crate::files::write::write_in_own_folder;
use crate::train::learner::Learner;
use crate::train::settings::settings::Settings;

/// A run's folder, in the hands of this process alone.
#[derive(Debug)]
pub struct RunFolder {
    // dropped first, as long as the log is locked
    _hold: Hold,
    pub(super) path: PathBuf,
    checkpoints: Checkpoints,
    log: Log,
    /// Whether this process made the folder.
    pub(super) made: bool,
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    notes: Vec<FolderNote>,
}

impl RunFolder {
    /// Opens the folder of an earlier run and puts right what was cut off when it was killed; [`notes`](Self::notes) tell.
    ///
    /// # Errors
    /// When it holds no run, another process trains in it, its checkpoint is not there or a later version's, or it cannot be
    /// written to.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if !path.join(CONFIG).is_file() {
            return Err(FolderError::NoRun { path: path.to_owned() });
        }
        let mut folder = Self::take(path, false)?;
        check_version(&folder.checkpoints)?;
        sweep(path);
        folder.checkpoints.clean();
        if let Some(state) = settle_last(&folder.checkpoints, &mut folder.notes)? {
            folder.saved = Some(state.step);
            let there = settle_best(&folder.checkpoints, &state, false)?;
            let missing = state.best.filter(|_| !there).map(|best| FolderNote::BestMissing { step: best.step });
            folder.notes.extend(missing);
        }
        Ok(folder)
    }

    /// Takes the folder for this process alone.
    pub(super) fn take(path: &Path, made: bool) -> Result<Self, FolderError> {
        let log = Log::open(path)?;
        let (hold, note) = match take(path, log.file()) {
            Taken::Alone(hold) => (hold, None),
            Taken::WithoutLock(hold) => (hold, Some(FolderNote::NoLocks)),
            Taken::Locked(holder) => return Err(FolderError::Busy { path: path.to_owned(), holder }),
            Taken::Named(holder) => return Err(FolderError::Named { path: path.to_owned(), holder }),
        };
        let (path, checkpoints) = (path.to_owned(), Checkpoints::of(path));
        Ok(Self { _hold: hold, path, checkpoints, log, made, saved: None, notes: note.into_iter().collect() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a person should know of it.
    pub fn notes(&self) -> &[FolderNote] {
        &self.notes
    }

    /// The step of the newest checkpoint.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// The model of the newest checkpoint.
    pub fn last_model(&self) -> PathBuf {
        model(&self.path, LAST)
    }

    /// The best model so far.
    pub fn best_model(&self) -> PathBuf {
        Self::best_model_in(&self.path)
    }

    /// The best model of the run in the folder `path`.
    pub fn best_model_in(path: &Path) -> PathBuf {
        model(path, BEST)
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
        read_history(&self.path)
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
    /// When it cannot be read, or a later version wrote it.
    pub fn state(&self) -> Result<Option<State>, FolderError> {
        self.saved.map(|_| read_state(&self.checkpoints.resolve(LAST)?)).transpose()
    }

    /// Sees whether the files of the newest checkpoint, whose position is `state`, are of one step.
    ///
    /// # Errors
    /// When they are not, as in a copy that was made while the run went on.
    pub(in crate::train) fn check_steps(&self, state: &State) -> Result<(), FolderError> {
        checkpoint::check_steps(&self.checkpoints.resolve(LAST)?, state.step)
    }

    /// The error that the newest checkpoint's position does not belong to this run any more.
    pub(in crate::train) fn changed(&self, reason: String) -> FolderError {
        let last = self.checkpoints.resolve(LAST).unwrap_or_else(|_| self.path.join(LAST));
        FolderError::Damaged { path: last.join(STATE), reason }
    }

    /// Puts the moments and the step count of the newest checkpoint into `learner`, which was built from
    /// [`last_model`](Self::last_model).
    ///
    /// # Errors
    /// When the file cannot be read or is not one of this model.
    pub fn restore_optimiser(&self, learner: &mut dyn Learner) -> Result<(), FolderError> {
        checkpoint::restore_optimiser(&self.checkpoints.resolve(LAST)?, learner)
    }

    /// Prepares to go on from `state`: cuts off what the log holds beyond it, and turns `best` back to the best model of
    /// whole epochs where the end of an unfinished one took its place. Gives how many lines of before are lost.
    ///
    /// # Errors
    /// When the log or the folder cannot be read or written.
    pub fn rewind(&mut self, state: &State) -> Result<u64, FolderError> {
        let kept = self.log.truncate(state.log_lines)?;
        restore_best(&self.path)?;
        settle_best(&self.checkpoints, state, true)?;
        Ok(state.log_lines - kept)
    }

    /// Appends a line to the log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&mut self, record: &Record) -> Result<(), FolderError> {
        self.log.append(record)
    }

    /// Writes the checkpoint of `state`, and lets `last` stand for it and `best` for the best model that `state` names. Besides these
    /// the newest `keep` checkpoints are kept. `state.log_lines` is set to what the log holds now.
    ///
    /// A second save of a step replaces the position only. A checkpoint of that step which `last` did not stand for is of a run that
    /// was gone back from, and is replaced. What `last` and `best` stood for before stays until the next save, or
    /// [`finish`](Self::finish): a reader may have it open.
    ///
    /// # Errors
    /// When a weight is not finite, or something cannot be written: the checkpoint before is intact then, and
    /// [`saved`](Self::saved) tells which one `last` stands for.
    pub fn save(
        &mut self,
        learner: &dyn Learner,
        state: &mut State,
        metadata: &BTreeMap<String, String>,
        keep: usize,
    ) -> Result<(), FolderError> {
        state.log_lines = self.log.sync()?;
        if let Some(saved) = self.saved {
            self.checkpoints.prune(saved, state, keep);
        }
        let place = self.checkpoints.place(state.step);
        let own =
            self.saved == Some(state.step) && self.checkpoints.step_of(&self.checkpoints.read(LAST)?) == self.saved;
        match own && is_whole(&place) {
            true => checkpoint::write_state(&place, state)?,
            false => checkpoint::write(learner, state, metadata, &self.checkpoints)?,
        }
        if let (Some(saved), Pointer::Folder) = (self.saved, self.checkpoints.read(LAST)?) {
            self.checkpoints.adopt(LAST, saved)?;
        }
        self.checkpoints.turn(LAST, state.step)?;
        self.saved = Some(state.step);
        settle_best(&self.checkpoints, state, true).map(drop)
    }

    /// Lets `best` stand for the newest checkpoint, the end of a run inside an epoch.
    ///
    /// # Errors
    /// When it cannot be turned.
    pub fn last_is_best(&mut self, state: &State) -> Result<(), FolderError> {
        if self.checkpoints.read(BEST)? == Pointer::Folder {
            // an earlier version's, of a first epoch that was not finished
            self.checkpoints.discard(&self.path.join(BEST))?;
        }
        self.checkpoints.turn(BEST, state.step)
    }

    /// Marks the newest checkpoint, whose position is `state`, as the run's end, and leaves only it, the best one and the newest
    /// `keep`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, state: &mut State, keep: usize) -> Result<(), FolderError> {
        state.finished = true;
        checkpoint::write_state(&self.checkpoints.resolve(LAST)?, state)?;
        self.checkpoints.prune(state.step, state, keep);
        Ok(())
    }
}

/// The model that `last` or `best` stands for in a run's folder.
fn model(run: &Path, name: &str) -> PathBuf {
    Pointer::resolve(run, name).unwrap_or_else(|_| run.join(name)).join(MODEL)
}

fn write_file(path: &Path, text: &str) -> Result<(), FolderError> {
    write_in_own_folder(path, text).map_err(|source| FolderError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program of the last version locks the log, and knows nothing else.
    #[test]
    fn an_earlier_programs_lock_keeps_this_one_out() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunFolder::create(&dir.path().join("run"), &Settings::default()).unwrap());
        let log = std::fs::File::options().append(true).open(dir.path().join("run/log.jsonl")).unwrap();
        log.try_lock().unwrap();
        let error = RunFolder::open(&dir.path().join("run")).unwrap_err();
        assert!(matches!(error, FolderError::Busy { holder: None, .. }), "{error}");
        drop(log);
        let folder = RunFolder::open(&dir.path().join("run")).unwrap();
        let log = std::fs::File::options().append(true).open(folder.log_path()).unwrap();
        assert!(log.try_lock().is_err());
    }
}
