//! Reports as JSON in a file.

use super::failure::Failure;
use crate::files::folder::parent;
use crate::files::write::write;
use serde::Serialize;
use std::path::Path;

/// Whether `--json FILE` can be written, to ask before work that takes long.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    check_file("--json", path)
}

/// The same of the file of any flag.
pub(super) fn check_file(flag: &str, path: &Path) -> Result<(), Failure> {
    if path.is_dir() || !parent(path).is_dir() {
        let path = path.display();
        return Err(Failure::input(format_args!("{flag} {path}: it must be a file in a folder that exists")));
    }
    Ok(())
}

/// Writes a report whole, or leaves what was there.
pub(super) fn write_json(path: &Path, report: &impl Serialize) -> Result<(), Failure> {
    write_text(path, serde_json::to_string_pretty(report).map_err(Failure::later)? + "\n")
}

/// The same on one line: for programs alone.
pub(super) fn write_compact_json(path: &Path, report: &impl Serialize) -> Result<(), Failure> {
    write_text(path, serde_json::to_string(report).map_err(Failure::later)? + "\n")
}

fn write_text(path: &Path, text: String) -> Result<(), Failure> {
    // a pipe or a device cannot be replaced
    let written = match path.exists() && !path.is_file() {
        true => std::fs::write(path, text),
        false => write(path, text),
    };
    written.map_err(|error| Failure::input(format_args!("cannot write {}: {error}", path.display())))
}
