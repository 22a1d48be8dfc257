//! Where the value of a setting comes from.

use std::fmt;
use std::path::PathBuf;

use crate::metrics::task::Task;

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default, which is the paper's.
    Default,
    /// The preset for a folder of images, or for the demonstration without images.
    Preset(&'static str),
    /// What the paper sets for the task.
    Task(Task),
    /// A settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the key, from 1; `None` for what the file lacks.
        line: Option<usize>,
    },
    /// Given for this run: by a flag, or by a program.
    Given,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Task(task) => write!(f, "task {task}"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Given => f.write_str("given"),
        }
    }
}
