//! What can be wrong with settings.

use std::fmt;
use std::path::{Path, PathBuf};

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
    /// What a resumed run's weights and scores depend on was given with other values than the run has.
    #[error("{}", fixed(config, differences, ToString::to_string))]
    Fixed {
        /// The run's settings file.
        config: PathBuf,
        /// Each of them.
        differences: Vec<Difference>,
    },
    /// The settings have no TOML text.
    #[error("config.toml cannot hold the settings: {0}")]
    Text(String),
}

/// A setting of a resumed run that was given with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: &'static str,
    /// The run's value, as text; `None` if it has none.
    pub run: Option<String>,
    /// The value given, as text.
    pub given: String,
    /// Where that comes from.
    pub origin: Origin,
}

impl Difference {
    /// What the run has, for people.
    pub(crate) fn of_run(&self) -> String {
        match &self.run {
            Some(value) => format!("the run has {value}"),
            None => "the run has none".to_string(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, given, origin, .. } = self;
        match origin {
            Origin::Given => write!(f, "{key} = {given} ({})", self.of_run()),
            elsewhere => write!(f, "{key} = {given} in {elsewhere} ({})", self.of_run()),
        }
    }
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

/// The message of [`SettingsError::Fixed`], where each difference is worded by `as_text`.
pub(crate) fn fixed(config: &Path, differences: &[Difference], as_text: impl Fn(&Difference) -> String) -> String {
    let listed = differences.iter().map(as_text).collect::<Vec<_>>().join(", ");
    let folder = config.parent().unwrap_or(Path::new("")).display();
    format!(
        "a resumed run keeps what its weights and scores depend on, but other values were given: {listed}. Leave them \
         out, or start a new run from this one's weights (`init`: {folder}/last/model.safetensors)"
    )
}
