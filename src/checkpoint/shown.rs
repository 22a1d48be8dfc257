//! Names from untrusted files, made fit to be shown.

/// A name from a file as it can be shown: on one line, without control characters, not too long.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}
