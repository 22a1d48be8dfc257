//! Temporary names, always in the folder of the final one, so that a rename is enough.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::folder;

/// A new file in the folder of `target` under a hidden name that nobody else has (a dot, random characters, `.partial`), with the
/// permissions that any new file gets.
pub(super) fn unique_file(target: &Path) -> io::Result<(File, PathBuf)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".partial");
    #[cfg(unix)]
    {
        // what the user's umask leaves of this: a temporary file would be closed to others
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder::parent(target))?.keep().map_err(|error| error.error)
}

/// `config.new` for `config.toml`: the same name each time, so that what a killed process left is written over by the next one.
pub(super) fn new_file(target: &Path) -> PathBuf {
    target.with_extension("new")
}

/// `last.new` for the folder `last`.
pub(super) fn new_folder(target: &Path) -> PathBuf {
    with_ending(target, ".new")
}

/// `last.old` for the folder `last`.
pub(super) fn old_folder(target: &Path) -> PathBuf {
    with_ending(target, ".old")
}

fn with_ending(target: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(ending);
    PathBuf::from(name)
}
