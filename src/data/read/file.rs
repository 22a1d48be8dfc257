//! The bytes of one image file. What is no regular file is refused before a byte is read: a device has no end, and a
//! pipe may never have a writer.

use std::fs::{self, File, FileType};
use std::io::Read;
use std::path::Path;

use super::kind::{HEAD, Kind, kind_of};
use crate::data::error::DataError;
use crate::data::pixels::MAX_PIXELS;

/// The longest file that is read: [`MAX_PIXELS`] of 16-bit RGBA, not compressed, and as much again for what may come with
/// it.
const MAX_FILE_BYTES: u64 = MAX_PIXELS as u64 * 16;

/// A file's kind, and all its bytes when it is of a kind that is read (otherwise its first ones).
pub(super) fn read(path: &Path) -> Result<(Kind, Vec<u8>), DataError> {
    let unreadable = |source| DataError::ReadFile { path: path.to_owned(), source };
    // follows links
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned(), what: name_of(metadata.file_type()) });
    }
    let bytes = metadata.len();
    let mut file = File::open(path).map_err(unreadable)?;
    let mut content = Vec::new();
    file.by_ref().take(HEAD as u64).read_to_end(&mut content).map_err(unreadable)?;
    if content.is_empty() {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    }
    let kind = kind_of(&content, path);
    if let Kind::Read(_) = kind {
        if bytes > MAX_FILE_BYTES {
            return Err(DataError::TooLong { path: path.to_owned(), bytes, limit: MAX_FILE_BYTES });
        }
        content.reserve((bytes as usize).saturating_sub(content.len()));
        // a file may grow while it is read
        file.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(unreadable)?;
    }
    Ok((kind, content))
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe (FIFO)";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    "no regular file"
}
