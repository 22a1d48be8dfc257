//! Reading a checkpoint's position, and a run's history.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::error::FolderError;
use super::history::History;
use super::names::{HISTORY, STATE};
use super::state::{NoState, STATE_FORMAT, State};

/// Longest position that is read, in bytes; one has about 500.
const LONGEST: u64 = 1 << 20;

/// The position of the checkpoint in `folder`.
///
/// # Errors
/// When it cannot be read, a later version wrote it, or it is none that a run can have.
pub(super) fn read_state(folder: &Path) -> Result<State, FolderError> {
    let path = folder.join(STATE);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    if let Err(source) = read {
        return Err(FolderError::Read { path, source });
    }
    State::of_text(&text).map_err(|reason| match reason {
        NoState::Newer { format } => FolderError::Newer { path, format, known: STATE_FORMAT },
        NoState::Damaged(reason) => FolderError::Damaged { path, reason: format!("no position of a run: {reason}") },
    })
}

/// The history of the run in `folder`; empty in a folder of a version that did not record it.
///
/// # Errors
/// When `run.json` cannot be read.
pub(super) fn read_history(folder: &Path) -> Result<History, FolderError> {
    let path = folder.join(HISTORY);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
        Err(source) => return Err(FolderError::Read { path, source }),
    };
    serde_json::from_slice(&text).map_err(|error| FolderError::Damaged {
        path,
        reason: format!("no history of a run: {error}; nothing depends on this file, so rename or remove it"),
    })
}
