//! Names from untrusted files, made fit to be shown, and texts and paths as Python writes them.

use std::path::Path;

/// A name from a file as it can be shown: on one line, without control characters, without the middle of a long one.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 120;
    let escaped = |part: &str| part.chars().flat_map(char::escape_debug).collect::<String>();
    let place = |count: usize| name.char_indices().nth(count).map_or(name.len(), |(at, _)| at);
    if place(LONGEST) == name.len() {
        return escaped(name);
    }
    // what tells weights apart stands at their end
    let end = name.char_indices().rev().nth(LONGEST / 2 - 1).map_or(0, |(at, _)| at);
    format!("{}...{}", escaped(&name[..place(LONGEST / 2)]), escaped(&name[end..]))
}

/// Stands for the file's name in a reason that is found before the name is known. No shown name has such a character.
pub(super) const FILE: &str = "\0FILE";

/// What advice saves, as all of it says.
pub(super) const OUTPUT: &str = "weights.pth";

/// The same, where a file of that name is not to be lost.
pub(super) fn output_beside(file: &Path) -> &'static str {
    if file.file_name().is_some_and(|name| name == OUTPUT) { "plain-weights.pth" } else { OUTPUT }
}

/// A path as Python writes it.
pub(super) fn quoted(path: &Path) -> String {
    #[cfg(unix)]
    if path.to_str().is_none() {
        use std::os::unix::ffi::OsStrExt;
        return format!("os.fsdecode(b\"{}\")", path.as_os_str().as_bytes().escape_ascii());
    }
    python_text(&path.to_string_lossy())
}

/// A text as Python writes it.
pub(super) fn python_text(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            '\'' => written.push(c),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            // what Rust shows as it is can be shown
            _ if c.escape_debug().len() == 1 => written.push(c),
            _ if c as u32 > 0xffff => written.push_str(&format!("\\U{:08x}", c as u32)),
            _ => written.push_str(&format!("\\u{:04x}", c as u32)),
        }
    }
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_for_python() {
        for (text, written) in [
            ("a 'b' \"c\" \\", r#""a 'b' \"c\" \\""#),
            ("né/e\u{301}", r#""né/e\u0301""#),
            ("\n\t\r\0\u{1b}\u{202e}", r#""\n\t\r\u0000\u001b\u202e""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(python_text(text), written);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_unicode_is_written_in_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff\"\\.pth"));
        assert_eq!(quoted(path), r#"os.fsdecode(b"a\xff\"\\.pth")"#);
    }
}
