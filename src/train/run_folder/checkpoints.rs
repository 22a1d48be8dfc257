//! The checkpoints in a run's folder: a numbered folder each, and the names `last` and `best` that stand for two of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::FolderError;
use super::names::{OPTIMISER, STATE};
use super::state::State;
use crate::checkpoint::found::{BEST, CHECKPOINTS, LAST, MODEL};
use crate::files::folder::{discard, empty, remove};
use crate::files::pointer::Pointer;
use crate::files::temporary::NEW_FOLDER;

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    run: PathBuf,
}

impl Checkpoints {
    /// Those of the run in this folder.
    pub(super) fn of(run: &Path) -> Self {
        Self { run: run.to_owned() }
    }

    /// The run's folder.
    pub(super) fn run(&self) -> &Path {
        &self.run
    }

    /// The folder that all of them are in.
    pub(super) fn folder(&self) -> PathBuf {
        self.run.join(CHECKPOINTS)
    }

    /// The folder of the checkpoint of a step.
    pub(super) fn place(&self, step: u64) -> PathBuf {
        self.folder().join(step.to_string())
    }

    /// The steps that have a folder, ascending.
    pub(super) fn steps(&self) -> Result<Vec<u64>, FolderError> {
        let failed = |source| FolderError::Read { path: self.folder(), source };
        let entries = match fs::read_dir(self.folder()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            steps.extend(step_of_name(entry.map_err(failed)?.file_name().to_str()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The steps whose checkpoint is whole, ascending.
    pub(super) fn whole_steps(&self) -> Result<Vec<u64>, FolderError> {
        let mut steps = self.steps()?;
        steps.retain(|step| is_whole(&self.place(*step)));
        Ok(steps)
    }

    /// What `last` or `best` is.
    pub(super) fn read(&self, name: &str) -> Result<Pointer, FolderError> {
        Pointer::read(&self.run, name).map_err(|source| FolderError::Read { path: self.run.join(name), source })
    }

    /// The folder that `last` or `best` stands for.
    pub(super) fn resolve(&self, name: &str) -> Result<PathBuf, FolderError> {
        Pointer::resolve(&self.run, name).map_err(|source| FolderError::Read { path: self.run.join(name), source })
    }

    /// Lets `last` or `best` stand for the checkpoint of a step.
    pub(super) fn turn(&self, name: &str, step: u64) -> Result<(), FolderError> {
        let target = Path::new(CHECKPOINTS).join(step.to_string());
        Pointer::turn(&self.run, name, &target).map_err(|source| self.write_error(name, source))
    }

    /// The step of the checkpoint that `last` or `best` stands for, by whatever path: somebody's own link may be absolute.
    /// `None` if it stands for none in this run's folder of checkpoints.
    pub(super) fn step_of(&self, pointer: &Pointer) -> Option<u64> {
        let target = pointer.target()?;
        step_of_target(target).or_else(|| {
            let (place, folder) = (self.run.join(target).canonicalize().ok()?, self.folder().canonicalize().ok()?);
            step_of_name(place.strip_prefix(folder).ok()?.to_str())
        })
    }

    /// Moves a folder of the run to where the checkpoint of a step belongs. Where there is one already, the one that has more of a
    /// checkpoint stays, and the other is discarded.
    pub(super) fn adopt(&self, name: &str, step: u64) -> Result<(), FolderError> {
        let (from, to) = (self.run.join(name), self.place(step));
        let has_more = is_whole(&to) || has_model(&to) && !is_whole(&from);
        let moved = fs::create_dir_all(self.folder()).and_then(|()| match to.exists() {
            true if has_more => discard(&from, &self.folder()),
            true => discard(&to, &self.folder()).and_then(|()| fs::rename(&from, &to)),
            false => fs::rename(&from, &to),
        });
        moved.map_err(|source| self.write_error(name, source))
    }

    /// Takes a folder away.
    pub(super) fn discard(&self, folder: &Path) -> Result<(), FolderError> {
        let gone = fs::create_dir_all(self.folder()).and_then(|()| discard(folder, &self.folder()));
        gone.map_err(|source| FolderError::Write { path: folder.to_owned(), source })
    }

    /// Removes what killed processes left: checkpoints that were not complete, or not wanted any more.
    pub(super) fn clean(&self) {
        empty(&self.folder());
        let Ok(entries) = fs::read_dir(self.folder()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if step_of_name(name.to_str().and_then(|name| name.strip_suffix(NEW_FOLDER))).is_some() {
                // the next save of this step tries again, and says so if it cannot
                let _ = remove(&entry.path());
            }
        }
    }

    /// Takes the checkpoints away that nothing names: neither `last`, whose step is `last`, nor `best`, nor the position `state`, nor
    /// the number of newest ones that are kept. Those after `last` are of a run that was gone back from: with this one's they would
    /// make no run. One that cannot be removed stays until the next time.
    pub(super) fn prune(&self, last: u64, state: &State, keep: usize) {
        let Ok(steps) = self.steps() else { return };
        let own = steps.iter().rev().filter(|step| **step <= last);
        let mut kept: BTreeSet<u64> = own.take(keep.max(1)).copied().collect();
        kept.insert(last);
        kept.extend(state.best.map(|best| best.step));
        for name in [LAST, BEST] {
            match self.read(name) {
                Ok(pointer) => kept.extend(self.step_of(&pointer)),
                // what it stands for must not go
                Err(_) => return,
            }
        }
        for step in steps.into_iter().filter(|step| !kept.contains(step)) {
            let _ = discard(&self.place(step), &self.folder());
        }
        empty(&self.folder());
    }

    fn write_error(&self, name: &str, source: io::Error) -> FolderError {
        FolderError::Write { path: self.run.join(name), source }
    }
}

/// Whether a folder holds all that a resume needs. A folder gets its name only when it does; but a copy may be cut off, and the
/// best model of a run that an earlier version began is alone.
pub(super) fn is_whole(folder: &Path) -> bool {
    [MODEL, OPTIMISER, STATE].iter().all(|name| folder.join(name).is_file())
}

/// Whether a folder holds a model.
pub(super) fn has_model(folder: &Path) -> bool {
    folder.join(MODEL).is_file()
}

/// The step of a target that is `checkpoints/STEP`.
fn step_of_target(target: &Path) -> Option<u64> {
    let name = target.file_name().and_then(|name| name.to_str());
    step_of_name(name).filter(|_| target.parent() == Some(Path::new(CHECKPOINTS)))
}

/// The step that is written as this name is.
fn step_of_name(name: Option<&str>) -> Option<u64> {
    let name = name?;
    name.parse().ok().filter(|step: &u64| step.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::run_folder::state::Best;

    fn run(steps: &[u64]) -> (tempfile::TempDir, Checkpoints) {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(dir.path());
        for &step in steps {
            fs::create_dir_all(checkpoints.place(step)).unwrap();
            for name in [MODEL, OPTIMISER, STATE] {
                fs::write(checkpoints.place(step).join(name), "").unwrap();
            }
        }
        (dir, checkpoints)
    }

    fn state(step: u64, best: Option<u64>) -> State {
        let best = best.map(|step| Best { epoch: 1, step, score: 0.0 });
        State { step, best, ..State::new(1, String::new(), None) }
    }

    #[test]
    fn the_newest_are_kept_and_the_best_and_what_a_name_stands_for() {
        for (keep, best, link, left) in [
            (1, None, 9, &[9][..]),
            (1, Some(2), 2, &[2, 9]),
            (2, Some(9), 9, &[7, 9]),
            (3, Some(2), 2, &[2, 5, 7, 9]),
            // the end of an unfinished epoch was better than the best of whole ones
            (1, Some(2), 5, &[2, 5, 9]),
            (100, None, 9, &[1, 2, 5, 7, 9]),
        ] {
            let (_dir, checkpoints) = run(&[1, 2, 5, 7, 9]);
            checkpoints.turn(LAST, 9).unwrap();
            checkpoints.turn(BEST, link).unwrap();
            checkpoints.prune(9, &state(9, best), keep);
            assert_eq!(checkpoints.steps().unwrap(), left);
            assert_eq!(fs::read_dir(checkpoints.folder()).unwrap().count(), left.len());
        }
    }

    #[test]
    fn checkpoints_of_a_run_that_was_gone_back_from_are_not_kept() {
        let (dir, checkpoints) = run(&[1, 5, 7, 9]);
        fs::create_dir(dir.path().join("last")).unwrap();
        checkpoints.prune(5, &state(6, Some(1)), 3);
        assert_eq!(checkpoints.steps().unwrap(), [1, 5]);
    }

    #[test]
    fn of_two_folders_of_a_step_the_one_with_more_stays() {
        for (name, at_place, at_name, stays) in [
            (LAST, &[MODEL][..], &[MODEL, OPTIMISER, STATE][..], "name"),
            (LAST, &[MODEL, OPTIMISER, STATE], &[MODEL, OPTIMISER, STATE], "place"),
            (BEST, &[OPTIMISER, STATE], &[MODEL], "name"),
            (BEST, &[MODEL], &[MODEL], "place"),
            (BEST, &[], &[MODEL], "name"),
        ] {
            let (dir, checkpoints) = run(&[]);
            for (folder, files, text) in
                [(checkpoints.place(4), at_place, "place"), (dir.path().join(name), at_name, "name")]
            {
                fs::create_dir_all(&folder).unwrap();
                files.iter().for_each(|file| fs::write(folder.join(file), text).unwrap());
            }
            checkpoints.adopt(name, 4).unwrap();
            assert!(!dir.path().join(name).exists());
            assert_eq!(fs::read_to_string(checkpoints.place(4).join(MODEL)).unwrap(), stays, "{name} {at_place:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_counts_as_the_checkpoint_that_it_leads_to() {
        let (dir, checkpoints) = run(&[3]);
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        let absolute = checkpoints.place(3);
        for (target, step) in [
            ("checkpoints/3", Some(3)),
            ("./checkpoints/3", Some(3)),
            ("checkpoints/../checkpoints/3/", Some(3)),
            (absolute.to_str().unwrap(), Some(3)),
            (other.to_str().unwrap(), None),
            ("checkpoints", None),
            ("nowhere", None),
        ] {
            assert_eq!(checkpoints.step_of(&Pointer::Link(target.into())), step, "{target}");
        }
    }

    #[test]
    fn only_numbers_are_steps_and_only_complete_folders_are_whole() {
        let (_dir, checkpoints) = run(&[3, 12]);
        for other in ["012", "+4", "4.new", "x", ".5.0.discarded"] {
            fs::create_dir(checkpoints.folder().join(other)).unwrap();
        }
        fs::remove_file(checkpoints.place(12).join(OPTIMISER)).unwrap();
        assert_eq!((checkpoints.steps().unwrap(), checkpoints.whole_steps().unwrap()), (vec![3, 12], vec![3]));
        checkpoints.clean();
        let mut left: Vec<_> =
            fs::read_dir(checkpoints.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["+4", "012", "12", "3", "x"]);
        let steps = ["checkpoints/12", "checkpoints/x", "/checkpoints/12", "12", "a/checkpoints/12", "checkpoints/1/2"];
        assert_eq!(steps.map(|target| step_of_target(Path::new(target))), [Some(12), None, None, None, None, None]);
    }
}
