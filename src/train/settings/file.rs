//! Settings from files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Table;
use toml::de::DeTable;

use super::check::check;
use super::error::SettingsError;
use super::origin::Origin;
use super::settings::{KEYS, Settings};

/// A settings file whose keys and types are right.
pub(super) struct SettingsFile {
    /// What it holds.
    pub(super) table: Table,
    /// The line of each key, from 1.
    pub(super) lines: BTreeMap<String, usize>,
}

/// Reads a TOML file with keys of [`Settings`].
pub(super) fn parse(path: &Path) -> Result<SettingsFile, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
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

impl Settings {
    /// Reads a run's `config.toml`, which is complete: no preset is added.
    ///
    /// # Errors
    /// When the file cannot be read, a key is missing or unknown, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let SettingsFile { table, lines } = parse(path)?;
        if let Some(key) = KEYS.iter().find(|key| !key.optional && !key.later && !table.contains_key(key.name)) {
            return Err(SettingsError::Missing { path: path.to_owned(), key: key.name });
        }
        let settings = Self::deserialize(table)
            .map_err(|e| SettingsError::Syntax { path: path.to_owned(), reason: e.to_string() })?;
        check(&settings, settings.names_no_images()).map_err(|problem| {
            let line = lines.get(problem.key).copied().unwrap_or(1);
            SettingsError::Value { origin: Origin::File { path: path.to_owned(), line }, problem }
        })?;
        Ok(settings)
    }
}
