//! Why a run's folder could not be used.

use std::io;
use std::path::PathBuf;

use super::holder::Holder;
use super::names::{CONFIG, OPTIMISER, RUNNING, STATE};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::found::{CHECKPOINTS, LAST, MODEL};
use crate::files::space::advice;
use crate::train::learner::LearnError;
use crate::train::settings::error::SettingsError;

/// Why a run's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run already.
    #[error("{} holds a run already, which is not overwritten", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run, but something of the name of a run's file, which a new one would mix with.
    #[error("{} holds no run (no {CONFIG}), but {name}, which a run would write to: move it away", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        name: &'static str,
    },
    /// There is no run to resume.
    #[error("{} holds no run: it has no {CONFIG}", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in it.
    #[error("another process is training in {}{}", path.display(), named(holder.as_ref()))]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Which, where it is told.
        holder: Option<Holder>,
    },
    /// Another process seems to train in it, on a file system that has no locks.
    #[error(
        "another process is training in {}, or was killed there: {holder} (its file system has no locks: if that process is gone, \
         remove {})",
        path.display(),
        path.join(RUNNING).display()
    )]
    Named {
        /// The folder.
        path: PathBuf,
        /// Which.
        holder: Holder,
    },
    /// It says that it has a checkpoint, but there is none that is whole, or only older ones.
    #[error("{}: {}", path.display(), no_last(named.as_deref(), whole))]
    NoLast {
        /// The folder.
        path: PathBuf,
        /// What says so, if it is not the checkpoints that are there.
        named: Option<String>,
        /// The steps of the checkpoints that are whole, ascending.
        whole: Vec<u64>,
    },
    /// A checkpoint's files are not of one save.
    #[error(
        "{}: its files are of different steps: {MODEL} of {model}, {OPTIMISER} of {optimiser}, {STATE} of {state}. Was the folder \
         copied while it was training? Copy it again, or go on from an older checkpoint that was kept: remove this folder and `{LAST}`",
        path.display()
    )]
    MixedSteps {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The step that the model names.
        model: String,
        /// The optimiser's.
        optimiser: u64,
        /// The position's.
        state: u64,
    },
    /// A later version of this program wrote it.
    #[error(
        "{}: made by a newer version of this program (format {format}; this version reads up to {known}): update the program",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of its format.
        format: u64,
        /// The largest that is read.
        known: u64,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the run was changed or damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The run's settings do not hold.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A weight file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is not one of this model.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A weight is no finite number any more; it was not saved.
    #[error("{name} is not finite any more: the last update went wrong (try a lower learning rate)")]
    NotFinite {
        /// The weight.
        name: String,
    },
}

/// `: process 812 on node7, since ...`.
fn named(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!(": {holder}"))
}

fn no_last(named: Option<&str>, whole: &[u64]) -> String {
    let named = named.map_or_else(|| format!("there is no `{LAST}`"), str::to_string);
    let there = match whole {
        [] => format!(
            "no checkpoint in {CHECKPOINTS} is whole (with {MODEL}, {OPTIMISER} and {STATE}). Was it copied while it was training? \
             Copy it again, or start a new run from a model of this one with `init`"
        ),
        [.., newest] => format!(
            "that is not there, or not whole. Whole are the checkpoints of the steps {}. Was it copied while it was training? Copy it \
             again; or remove `{LAST}`, and it goes on from step {newest}",
            whole.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        ),
    };
    format!("{named}; {there}")
}
