//! Which file is meant where a folder is given: the model in it, or a run's best model.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use crate::files::pointer::Pointer;

/// A checkpoint's model.
pub const MODEL: &str = "model.safetensors";
/// What other programs call a model in a folder of its own, the first of which is taken.
const OTHERS: [&str; 3] = ["model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The folder of a run's checkpoints, each of which is called by its step.
pub const CHECKPOINTS: &str = "checkpoints";
/// The name in a run's folder for its newest checkpoint.
pub const LAST: &str = "last";
/// The name in a run's folder for its best checkpoint.
pub const BEST: &str = "best";

/// A weight file, and what it is of the path that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundModel {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FoundAs,
}

/// What a weight file is of the path that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundAs {
    /// The path itself.
    Given,
    /// The model in the folder.
    InFolder,
    /// The best model of the run.
    Best,
    /// The newest model of a run that has no best one yet.
    Last,
    /// The newest model of a run whose best one is gone.
    LastForBest {
        /// What `best` stands for, a path in the run's folder, where there is no model.
        best: PathBuf,
    },
}

/// Says what was taken in the place of a folder: `the best model of the run, RUN/best/model.safetensors`.
impl fmt::Display for FoundModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            FoundAs::Given => write!(f, "{path}"),
            FoundAs::InFolder => write!(f, "the model in the folder, {path}"),
            FoundAs::Best => write!(f, "the best model of the run, {path}"),
            FoundAs::Last => write!(f, "the newest model of the run, {path}; it has no best one yet"),
            FoundAs::LastForBest { best } => write!(
                f,
                "the newest model of the run, {path}: `{BEST}` stands for {}, which is not there, or holds no {MODEL}",
                best.display()
            ),
        }
    }
}

/// The weight file that `path` stands for: itself if it is no folder; of a folder the `model.safetensors` in it; of a run's
/// folder the best model, or else the newest; of a folder of another program its model, or the index of one in several
/// files.
///
/// # Errors
/// When a folder holds none of these; the error says what was looked for.
pub fn find_model(path: &Path) -> Result<FoundModel, CheckpointError> {
    if !path.is_dir() {
        return Ok(FoundModel { path: path.to_path_buf(), kind: FoundAs::Given });
    }
    let inside = path.join(MODEL);
    if inside.is_file() {
        return Ok(FoundModel { path: inside, kind: FoundAs::InFolder });
    }
    let mut looked = vec![MODEL.to_string()];
    let target = |name| Pointer::read(path, name).ok().as_ref().and_then(Pointer::target).map(Path::to_path_buf);
    let instead = target(BEST).map_or(FoundAs::Last, |best| FoundAs::LastForBest { best });
    for (name, kind) in [(BEST, FoundAs::Best), (LAST, instead)] {
        let place = Pointer::resolve(path, name)
            .map_err(|source| CheckpointError::Read { path: path.join(name), source })?
            .join(MODEL);
        if place.is_file() {
            return Ok(FoundModel { path: place, kind });
        }
        looked.push(match target(name) {
            Some(target) => format!("{name}/{MODEL} ({name} stands for {}, where there is none)", target.display()),
            None => format!("{name}/{MODEL}"),
        });
    }
    for name in OTHERS {
        let inside = path.join(name);
        if inside.is_file() {
            return Ok(FoundModel { path: inside, kind: FoundAs::InFolder });
        }
        looked.push(name.to_string());
    }
    let steps = numbered(path).into_iter().filter(|step| step.join(MODEL).is_file()).collect();
    Err(CheckpointError::NoModel { path: path.to_path_buf(), looked: looked.join(", "), steps })
}

/// The checkpoints of the run in `folder`, the oldest first.
fn numbered(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join(CHECKPOINTS)) else { return Vec::new() };
    let numbered = |entry: std::fs::DirEntry| Some((entry.file_name().to_str()?.parse::<u64>().ok()?, entry.path()));
    let mut steps: Vec<_> = entries.flatten().filter_map(numbered).collect();
    steps.sort();
    steps.into_iter().map(|(_, path)| path).collect()
}
