//! What can be wrong with settings.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A settings file cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A settings file is no TOML, has an unknown key, or a value of the wrong type.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong there.
        reason: String,
    },
    /// A run's settings file lacks a key.
    #[error("{}: `{key}` is missing; a run's settings are complete", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A value is of the wrong type, or its key is unknown; it does not come from a file.
    #[error("{0}")]
    Type(String),
    /// A value is out of its range, or does not go with another setting.
    #[error("{}{problem}", place(origin))]
    Value {
        /// Where the value comes from.
        origin: Origin,
        /// What is wrong with it.
        problem: Problem,
    },
    /// What a resumed run takes from its settings file was given anew.
    #[error(
        "a resumed run takes {} from its config.toml; only {} can be given. For other settings start a new run, from this \
         one's weights with `init` (last/model.safetensors)",
        listed(keys),
        listed(resumable)
    )]
    Fixed {
        /// The keys given.
        keys: Vec<&'static str>,
        /// The keys that may be given.
        resumable: Vec<&'static str>,
    },
    /// The settings have no TOML text.
    #[error("config.toml cannot hold the settings: {0}")]
    Text(String),
}

/// What is wrong with the value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: &'static str,
    /// Its value; `None` where the trouble is that it is there, or not there, beside another.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// `run.toml:3: ` for a value of a file, `task polyp: ` for one of the task's.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Default | Origin::Given => String::new(),
        elsewhere => format!("{elsewhere}: "),
    }
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
