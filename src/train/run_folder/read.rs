//! Reading a checkpoint's position.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::FolderError;
use super::names::STATE;
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
