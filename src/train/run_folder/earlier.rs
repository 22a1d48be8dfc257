//! Folders of runs that earlier versions began: `last` and `best` are folders there, each replaced by way of `last.new` and
//! `last.old`, and `best.epoch` is the best model of whole epochs while `best` holds the end of an unfinished one.
//!
//! They are gone on with as they are. The first save moves `last` and `best` among the numbered checkpoints, one rename after
//! the other; a kill between two of them leaves what [`settle`](super::settle) completes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoints::{Checkpoints, has_model};
use super::error::FolderError;
use super::names::SET_ASIDE;
use super::state::State;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::{BEST, MODEL};
use crate::files::folder::remove;

/// Completes or undoes the replacement of a folder by an earlier version, which was cut off by a kill. The older folder moved away
/// only once the new one was whole.
///
/// # Errors
/// When a folder cannot be renamed.
pub(super) fn recover(target: &Path) -> io::Result<()> {
    let [new, old] = ["new", "old"].map(|ending| target.with_extension(ending));
    if !target.exists() && old.exists() {
        fs::rename(if new.exists() { &new } else { &old }, target)?;
    }
    // left-overs do no harm
    for folder in [new, old] {
        let _ = remove(&folder);
    }
    Ok(())
}

/// Puts the best model of whole epochs back where the end of an unfinished one took its place.
pub(super) fn restore_best(run: &Path) -> Result<(), FolderError> {
    let (best, aside) = (run.join(BEST), run.join(SET_ASIDE));
    if !aside.exists() {
        return Ok(());
    }
    remove(&best).and_then(|()| fs::rename(&aside, &best)).map_err(|source| FolderError::Write { path: best, source })
}

/// Moves the folder `best` among the checkpoints, once `last` is there. `state` is the position of `last`, which names the
/// best model.
pub(super) fn move_best(checkpoints: &Checkpoints, state: &State) -> Result<(), FolderError> {
    let plain: PathBuf = checkpoints.run().join(BEST);
    let written = WeightFile::open(&plain.join(MODEL)).ok();
    let written = written.and_then(|file| file.metadata().get("step")?.parse::<u64>().ok());
    // the end of a first epoch that was not finished, or of one that will be trained again: it stays until there is a best
    let Some(best) = state.best.map(|best| best.step) else { return Ok(()) };
    if has_model(&checkpoints.place(best)) {
        checkpoints.discard(&plain)?;
        return checkpoints.turn(BEST, best);
    }
    // of another step than the position names, it is still the best model that is there
    let step = written.unwrap_or(best);
    checkpoints.adopt(BEST, step)?;
    checkpoints.turn(BEST, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    /// Every state that a kill can leave the three folders of a replacement in.
    #[test]
    fn a_replacement_cut_off_anywhere_is_completed_or_undone() {
        let dir = tempfile::tempdir().unwrap();
        let last = dir.path().join("last");
        let (new, old) = (dir.path().join("last.new"), dir.path().join("last.old"));
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
        for (at, at_new, at_old, after) in cases {
            for (folder, text) in [(&last, at), (&new, at_new), (&old, at_old)] {
                text.inspect(|text| fill(folder, text));
            }
            recover(&last).unwrap();
            assert_eq!(read(&last.join("x")).as_deref(), after);
            assert!(!new.exists() && !old.exists());
            remove(&last).unwrap();
        }
    }
}
