//! A small file in one call.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::replace::Replacement;

/// Writes the file `path` whole or not at all, over an older one.
///
/// # Errors
/// When the file cannot be written: a missing or read-only folder, a full disk. An older one is then as it was.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    fill(Replacement::file(path)?, bytes.as_ref())
}

/// The same in a folder that only this process writes to, by way of [`Replacement::file_in_own_folder`].
///
/// # Errors
/// As [`write()`].
pub fn write_in_own_folder(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    fill(Replacement::file_in_own_folder(path)?, bytes.as_ref())
}

fn fill(mut file: Replacement<File>, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.commit()
}
