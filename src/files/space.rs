//! A full disk.

use std::io;

/// Whether it is an error for want of space: of the disk, or of the user's share of it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What to do about an error of a full disk, to be put behind it; nothing for other errors.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    if is_full(error) {
        " (free some space, then try again; a run that is resumed goes on from its last save)"
    } else {
        ""
    }
}
