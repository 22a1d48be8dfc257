//! Settings from files.

use std::path::Path;

use serde::Deserialize;

use super::check::check;
use super::error::SettingsError;
use super::settings::Settings;

impl Settings {
    /// Reads a run's `config.toml`, which is complete: no preset is added.
    ///
    /// # Errors
    /// When the file cannot be read, a key is missing or unknown, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = parse_file(path)?;
        check(&settings)?;
        Ok(settings)
    }
}

/// Reads a TOML file.
pub(super) fn parse_file<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|e| SettingsError::Syntax { path: path.to_owned(), reason: e.to_string().trim_end().to_string() })
}
