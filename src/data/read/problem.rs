//! What a decoder reports; the file's name is added where the file is known.

use super::kind::Unread;
use crate::data::pixels::MAX_PIXELS;

/// Why bytes give no picture.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Damaged, truncated, or of a flavour that is not read; a sentence without its full stop.
    Undecodable(String),
    /// The header promises more than is decoded.
    TooLarge { width: usize, height: usize },
    /// Another kind of file.
    Unread(Unread),
}

impl Problem {
    /// What a crate's decoder said.
    pub(crate) fn of(error: impl ToString) -> Self {
        Self::Undecodable(error.to_string())
    }
}

/// Accepts a header's size: some pixels, at most [`MAX_PIXELS`], and no side longer than `longest`. To be asked before
/// memory is taken.
pub(crate) fn check_size(width: usize, height: usize, longest: usize) -> Result<(), Problem> {
    match width.checked_mul(height) {
        Some(0) => Err(Problem::Undecodable("it says that it has no pixels".to_owned())),
        Some(pixels) if pixels <= MAX_PIXELS && width.max(height) <= longest => Ok(()),
        _ => Err(Problem::TooLarge { width, height }),
    }
}
