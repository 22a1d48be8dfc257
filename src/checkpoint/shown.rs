//! Names from untrusted files, made fit to be shown, and paths as Python writes them.

use std::path::Path;

/// A name from a file as it can be shown: on one line, without control characters, not too long.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Stands for the file's name in a reason that is found before the name is known.
pub(super) const FILE: &str = "FILE";

/// A path as Python writes it.
pub(super) fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
