//! Settings from files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::Table;
use toml::de::DeTable;

use super::error::SettingsError;
use super::settings::Settings;

/// A settings file whose keys and types are right.
pub(super) struct SettingsFile {
    /// What it holds.
    pub(super) table: Table,
    /// The line of each key, from 1.
    pub(super) lines: BTreeMap<String, usize>,
}

/// What a settings file holds at most, in bytes.
const LONGEST: u64 = 1 << 20;

/// The text of a file that may be a device without an end.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is no settings file, which has at most 1 MiB"));
    }
    Ok(text)
}

/// Reads a TOML file with keys of [`Settings`].
pub(super) fn parse(path: &Path) -> Result<SettingsFile, SettingsError> {
    let text = read(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let syntax = |e: toml::de::Error| SettingsError::Syntax {
        path: path.to_owned(),
        reason: e.to_string().trim_end().to_string(),
    };
    // first as settings, whose errors show the place
    toml::from_str::<Settings>(&text).map_err(syntax)?;
    let table = toml::from_str(&text).map_err(syntax)?;
    let spans = DeTable::parse(&text).map_err(syntax)?;
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let lines = spans.get_ref().iter().map(|(key, _)| (key.get_ref().to_string(), line(key.span().start))).collect();
    Ok(SettingsFile { table, lines })
}
