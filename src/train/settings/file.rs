//! Settings from files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::data_table::{DATA, flatten, setting_of};
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

/// Reads a TOML file with keys of [`Settings`], those of the table `[data]` among them.
pub(super) fn parse(path: &Path) -> Result<SettingsFile, SettingsError> {
    let text = read(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let refused = |reason: String| SettingsError::Syntax { path: path.to_owned(), reason };
    let syntax = |e: toml::de::Error| refused(e.to_string().trim_end().to_string());
    let spans = DeTable::parse(&text).map_err(syntax)?;
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let mut lines = BTreeMap::new();
    for (key, value) in spans.get_ref() {
        lines.insert(key.get_ref().to_string(), line(key.span().start));
        if let (DATA, DeValue::Table(inner)) = (&**key.get_ref(), value.get_ref()) {
            let inner = inner.keys().filter_map(|key| Some((setting_of(key.get_ref())?, line(key.span().start))));
            lines.extend(inner.map(|(setting, line)| (setting.to_string(), line)));
        }
    }
    let mut table: Table = toml::from_str(&text).map_err(syntax)?;
    if !table.get(DATA).is_some_and(toml::Value::is_table) {
        // as settings, whose errors show the place
        toml::from_str::<Settings>(&text).map_err(syntax)?;
        return Ok(SettingsFile { table, lines });
    }
    flatten(&mut table).map_err(refused)?;
    // one by one, so that the place is known
    for (key, value) in &table {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        let place = lines.get(key).map_or(String::new(), |line| format!("line {line}: "));
        Settings::deserialize(one).map_err(|e| refused(format!("{place}`{key}`: {}", e.to_string().trim())))?;
    }
    Ok(SettingsFile { table, lines })
}
