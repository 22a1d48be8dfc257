//! Words of a command line, as a shell takes them.

/// A word in quotes where it has characters that mean something to a shell.
pub(crate) fn shell_word(text: &str) -> String {
    // what a terminal would act upon, or not show, as the shells' own escapes
    if text.chars().any(|c| !matches!(c, '\'' | '"' | '\\') && c.escape_debug().len() > 1) {
        let escaped = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            '"' => c.to_string(),
            _ if c.escape_debug().len() == 1 => c.to_string(),
            _ if c.is_ascii() => format!("\\x{:02x}", c as u32),
            _ => format!("\\U{:08x}", c as u32),
        };
        return format!("$'{}'", text.chars().map(escaped).collect::<String>());
    }
    let plain = |c: char| c.is_alphanumeric() || "_-./+=:,@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (text, word) in [
            ("runs/a-b_1.pth", "runs/a-b_1.pth"),
            ("läufe/a", "läufe/a"),
            ("", "''"),
            ("my model", "'my model'"),
            ("it's", r"'it'\''s'"),
            ("$(id)", "'$(id)'"),
            ("[0].x", "'[0].x'"),
            ("a\u{1b}[2J'\n\u{202e}", r"$'a\x1b[2J\'\x0a\U0000202e'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
