//! A run that is to begin, or to go on: its settings and the place for its results.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::prepare_error::PrepareError;
use super::run_folder::folder::RunFolder;
use super::run_folder::history::History;
use super::settings::key::Change;
use super::settings::layers::{Layer, resume};
use super::settings::settings::{KEYS, Settings};
use super::sources::Sources;
use super::together::ranks::Ranks;

/// A run that is to begin, or to go on: its settings are known and checked, its folder is free or open. Nothing of the run was
/// changed yet.
#[derive(Debug)]
pub struct Start {
    pub(super) settings: Settings,
    pub(super) place: Place,
    /// Images that the program gives; otherwise the settings name them.
    pub(super) data: Option<Sources>,
    /// Where is remembered what was found of image files.
    pub(super) kept: Option<PathBuf>,
    /// Whether the run begins though it is estimated to take more memory than there is.
    pub(super) any_memory: bool,
}

#[derive(Debug)]
pub(super) enum Place {
    /// Where a new run is to be.
    New(PathBuf),
    /// The name, numbered, of the folder in [`RUNS`] where a new run is to be.
    Numbered {
        name: &'static str,
        /// The folder, if nobody else takes it before.
        expected: PathBuf,
    },
    /// An earlier run.
    Resumed {
        folder: RunFolder,
        history: History,
        /// Whether another length was given.
        lengthened: bool,
        /// Files to start from that were given in the place of others, with their keys.
        moved: Vec<(&'static str, PathBuf)>,
    },
    /// In the hands of rank 0; this is another one.
    Elsewhere {
        /// Where, on rank 0's machine.
        path: PathBuf,
        /// Whether it is an earlier run.
        resumed: bool,
    },
}

/// What rank 0 begins with, told to the others.
#[derive(Serialize, Deserialize)]
struct Beginning {
    settings: Settings,
    path: PathBuf,
    resumed: bool,
}

impl Start {
    /// A new run in the folder `out`, or else in `runs/demo`, `runs/TASK` or `runs/train`, numbered. It trains on `data`, or else
    /// on the images that the settings name.
    ///
    /// # Errors
    /// When the settings do not hold together (see [`Settings::check`]), a set is empty, or the folder holds a run.
    pub fn new(mut settings: Settings, out: Option<PathBuf>, data: Option<Sources>) -> Result<Self, PrepareError> {
        settings.check(data.is_some())?;
        settings.make_absolute();
        let named = data.is_some() || settings.names_files();
        let name = settings.task.map_or(if named { "train" } else { "demo" }, |task| task.name());
        let place = match out {
            Some(out) => Place::New(out),
            None => Place::Numbered { name, expected: RunFolder::unused(Path::new(RUNS), name) },
        };
        if let Place::New(out) = &place {
            RunFolder::check_unused(out)?;
        }
        data.iter().try_for_each(Sources::check_not_empty)?;
        Ok(Self { settings, place, data, kept: None, any_memory: false })
    }

    /// The run in the folder `path`, with its settings but for those of `given` that may be others ([`Change`]). A run
    /// on `data` goes on with `data` only.
    ///
    /// # Errors
    /// When the folder holds no run, another process trains in it, or `given` holds a value that would make another run
    /// of it.
    pub fn resume(path: &Path, given: &Layer, data: Option<Sources>) -> Result<Self, PrepareError> {
        let folder = RunFolder::open(path)?;
        let settings = resume(&folder.config_path(), given)?.settings;
        let run = folder.settings()?;
        match data {
            Some(_) => settings.check(true)?,
            None if settings.names_no_images() => return Err(PrepareError::NoImages { path: path.to_owned() }),
            None => {}
        }
        data.iter().try_for_each(Sources::check_not_empty)?;
        let history = folder.history()?;
        let lengthened = (run.epochs, run.steps) != (settings.epochs, settings.steps);
        let moved = moved(run, settings.clone());
        let place = Place::Resumed { folder, history, lengthened, moved };
        Ok(Self { settings, place, data, kept: None, any_memory: false })
    }

    /// The same run on all ranks: rank 0 has a start, whose settings the others take over.
    ///
    /// # Errors
    /// When a rank failed, or is lost.
    pub fn on_all(own: Option<Self>, data: Option<Sources>, ranks: &Ranks) -> Result<Self, PrepareError> {
        let known = own.as_ref().map(Self::beginning);
        let Beginning { settings, path, resumed } = ranks.tell_value("the settings", known)?;
        if let Some(own) = own {
            return Ok(own);
        }
        data.iter().try_for_each(Sources::check_not_empty)?;
        Ok(Self { settings, place: Place::Elsewhere { path, resumed }, data, kept: None, any_memory: false })
    }

    fn beginning(&self) -> Beginning {
        let (settings, path) = (self.settings.clone(), self.path().to_owned());
        Beginning { settings, path, resumed: matches!(self.place, Place::Resumed { .. }) }
    }

    /// Remembers in this folder what was found of image files, so that those that are as they were are not decoded again before the
    /// next run.
    pub fn remember_in(mut self, folder: Option<PathBuf>) -> Self {
        self.kept = folder;
        self
    }

    /// Begins even if training is estimated to take more memory than there is.
    pub fn any_memory(mut self) -> Self {
        self.any_memory = true;
        self
    }

    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The run's folder. A new run's may not exist yet; without `out` it gets the next number if another run takes this one first
    /// ([`PreparedRun::folder`](super::prepare::PreparedRun::folder) tells).
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::New(path) | Place::Numbered { expected: path, .. } | Place::Elsewhere { path, .. } => path,
            Place::Resumed { folder, .. } => folder.path(),
        }
    }
}

/// Where runs go by default.
pub(super) const RUNS: &str = "runs";

/// The files to start from whose place is another one than the run's.
fn moved(mut run: Settings, mut settings: Settings) -> Vec<(&'static str, PathBuf)> {
    let mut before = Vec::new();
    run.each_path(&mut |key, path| before.push((key, path.clone())));
    let mut moved = Vec::new();
    settings.each_path(&mut |key, path| {
        let is_start = KEYS.iter().any(|known| known.name == key && known.change == Change::Start);
        if is_start && !before.contains(&(key, path.clone())) {
            moved.push((key, path.clone()));
        }
    });
    moved
}
