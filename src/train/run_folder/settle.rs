//! What is done when a run's folder is opened: `last` and `best` are put right, whatever moment a kill came at.
//!
//! A checkpoint has its number only once it is whole. So the newest whole one is where the run stands, and its position says which
//! model is the best: the two names follow from them.

use super::checkpoints::{Checkpoints, has_model, is_whole};
use super::earlier::{move_best, recover};
use super::error::FolderError;
use super::note::FolderNote;
use super::read::read_state;
use super::state::State;
use crate::checkpoint::found::{BEST, LAST};
use crate::files::pointer::Pointer;

/// Sees whether a later version of this program wrote a position that is read: before anything is changed.
///
/// # Errors
/// When it did.
pub(super) fn check_version(checkpoints: &Checkpoints) -> Result<(), FolderError> {
    let mut places = vec![checkpoints.resolve(LAST)?];
    places.extend(checkpoints.steps()?.into_iter().map(|step| checkpoints.place(step)));
    for place in places {
        // any other trouble is told where it matters
        if let Err(newer @ FolderError::Newer { .. }) = read_state(&place) {
            return Err(newer);
        }
    }
    Ok(())
}

/// Lets `last` stand for the newest whole checkpoint, and gives that one's position; `None` if there is no checkpoint yet.
///
/// # Errors
/// When the folder names a checkpoint that is not there, and no newer one is; when it cannot be read or written.
pub(super) fn settle_last(
    checkpoints: &Checkpoints,
    notes: &mut Vec<FolderNote>,
) -> Result<Option<State>, FolderError> {
    for name in [LAST, BEST] {
        if checkpoints.read(name)?.target().is_none() {
            let place = checkpoints.run().join(name);
            recover(&place).map_err(|source| FolderError::Write { path: place, source })?;
        }
    }
    let (whole, pointer) = (checkpoints.whole_steps()?, checkpoints.read(LAST)?);
    let newest = whole.last().copied();
    let missing =
        |named: Option<String>| FolderError::NoLast { path: checkpoints.run().to_owned(), named, whole: whole.clone() };
    match (&pointer, newest) {
        // an earlier version's, whose move to the numbered checkpoints was cut off, or has not begun
        (Pointer::Folder, newest) => {
            let step = read_state(&checkpoints.run().join(LAST))?.step;
            if let Some(newest) = newest.filter(|newest| *newest >= step) {
                checkpoints.adopt(LAST, step)?;
                checkpoints.turn(LAST, newest)?;
            }
        }
        (Pointer::Absent, Some(newest)) => {
            checkpoints.turn(LAST, newest)?;
            notes.push(FolderNote::Repaired { named: None, step: newest });
        }
        (Pointer::Absent, None) => {
            // a run that was killed before its first save has neither
            let named = checkpoints.read(BEST)?.target().map(|best| format!("{BEST} stands for {}", best.display()));
            return match named.is_some() || !checkpoints.steps()?.is_empty() {
                true => Err(missing(named)),
                false => Ok(None),
            };
        }
        (Pointer::Link(target) | Pointer::Text(target), newest) => match (checkpoints.step_of(&pointer), newest) {
            (Some(named), Some(newest)) if named == newest => {}
            (Some(named), Some(newest)) if named < newest => {
                checkpoints.turn(LAST, newest)?;
                notes.push(FolderNote::Repaired { named: Some(named), step: newest });
            }
            // somebody's own link
            (None, _) if is_whole(&checkpoints.resolve(LAST)?) => {}
            _ => return Err(missing(Some(format!("{LAST} stands for {}", target.display())))),
        },
    }
    read_state(&checkpoints.resolve(LAST)?).map(Some)
}

/// Lets `best` stand for the best model of the position `state`, which `last` holds. Where a run ended inside an epoch, `best` may
/// stand for that end; with `strict` it does not: the run goes on, and counts whole epochs only. Gives whether the best
/// model is there.
pub(super) fn settle_best(checkpoints: &Checkpoints, state: &State, strict: bool) -> Result<bool, FolderError> {
    let pointer = checkpoints.read(BEST)?;
    if pointer == Pointer::Folder {
        // an earlier version's; as long as `last` is a folder, too, both stay as they are
        if checkpoints.read(LAST)? != Pointer::Folder {
            move_best(checkpoints, state)?;
        }
        return Ok(true);
    }
    // what was the best before there is one of a whole epoch stays until there is
    let Some(best) = state.best.map(|best| best.step) else { return Ok(true) };
    let named = checkpoints.step_of(&pointer);
    let at_the_end = !strict && state.step_in_epoch > 0 && named == Some(state.step);
    if !has_model(&checkpoints.place(best)) {
        return Ok(false);
    }
    if !at_the_end && named != Some(best) {
        checkpoints.turn(BEST, best)?;
    }
    Ok(true)
}
