//! What can be wrong with settings.

use std::path::PathBuf;

use super::sides::{SIDE_UNIT, largest_side};
use crate::nn::shape::SIDES;

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
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
    /// A side that the network does not have.
    #[error(
        "--size {size}: the side must be a multiple of {SIDE_UNIT} from {} to {}; the nearest are {} and {}",
        SIDES[0],
        largest_side(),
        nearest.0,
        nearest.1
    )]
    Size {
        /// The side asked for.
        size: usize,
        /// The two nearest sides there are.
        nearest: (usize, usize),
    },
    /// A name that is not one of a list.
    #[error("{what}: there is no `{found}`; choose one of {choices}")]
    Choice {
        /// What was to be chosen.
        what: &'static str,
        /// The name given.
        found: String,
        /// The names there are.
        choices: String,
    },
    /// A number outside its range.
    #[error("--{flag} {value}: it must be {range}")]
    Range {
        /// The flag, which is the key in a settings file with `-` for `_`.
        flag: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Settings that exclude or need each other.
    #[error("{0}")]
    Conflict(String),
}
