//! What is known of each setting besides its value: the table behind files, flags and help texts.

use std::ffi::OsStr;

use toml::Value;

/// A setting: its name in files, and how a command line gives it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key in a settings file, which is also the field of [`Settings`](super::Settings).
    pub name: &'static str,
    /// What it is, for people: the field's documentation.
    pub help: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// How a command line gives it.
    pub flag: Flag,
    /// What another value means for a run that is resumed.
    pub change: Change,
    /// Whether every run's config.toml has it. Runs of earlier versions lack the others, whose defaults count then.
    pub always: bool,
    /// The names to choose from; empty if it is no choice.
    pub names: fn() -> Vec<&'static str>,
    /// The TOML value of a text on a command line; the error says what the text should be.
    pub parse: fn(&OsStr) -> Result<Value, String>,
}

/// What settings belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The images.
    Data,
    /// The network.
    Model,
    /// The optimiser.
    Optimisation,
    /// The process.
    Run,
}

/// How a command line gives a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--key VALUE`, with what stands for the value in help texts.
    Value(&'static str),
    /// `--key`, which makes it true.
    On,
    /// `--no-key`, which makes it false, with what that does.
    Off(&'static str),
    /// Only a file does.
    FileOnly,
}

/// What another value of a setting means for a run that is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is taken: it changes the run's length, or its results by rounding at most.
    Free,
    /// A place of data, which may have moved: it is taken, and the run goes on if the same names are there.
    Place,
    /// A file that is read when a run begins: it is taken, but without effect as soon as there is a checkpoint.
    Start,
    /// It is refused: it would change the weights, or what they are judged by.
    Fixed,
}

/// What else is true of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// See [`Key::always`].
    Always,
}

impl Key {
    /// The flag, without its dashes: `batch-size`, `no-shuffle`; `None` if only a file gives it.
    pub fn flag_name(&self) -> Option<String> {
        let name = self.name.replace('_', "-");
        match self.flag {
            Flag::Value(_) | Flag::On => Some(name),
            Flag::Off(_) => Some(format!("no-{name}")),
            Flag::FileOnly => None,
        }
    }
}
