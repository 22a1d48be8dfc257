//! What can be wrong with a weight file, always with the file's name and the way out.

use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::report::Report;
use super::shown::{FILE, OUTPUT, output_beside, python_text, quoted};
use crate::files::space::advice;

/// Why a weight file was not read, recognised, written or converted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{path}: cannot read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not the kind of file that holds weights: a folder, an empty file, text, another format.
    #[error("{path}: not a weight file: {reason}", path = path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The right kind of file, but truncated, inconsistent or beyond the limits.
    #[error("{path}: damaged or hostile file: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A pickle without weights that are told without running code.
    #[error(
        "{path}: no weights were found in it without running code: its pickle asks for `{global}`, which is not run here. \
         If you trust the file, look in Python, where that code is installed, for the dictionary of tensors in \
         d = torch.load({quoted}, weights_only=False), and torch.save it by itself",
        path = path.display(),
        quoted = quoted(path)
    )]
    Code {
        /// The file.
        path: PathBuf,
        /// Classes and functions that the pickle names, `module.name`; the first few.
        global: String,
    },
    /// A file that is whole, in a form that is not read here; the reason says how to bring it.
    #[error("{path}: {reason}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is and how to bring it.
        reason: String,
    },
    /// A file of a later version of this program, which may mean something else by what it holds.
    #[error(
        "{path}: made by a newer version of this program (format {found}; this version reads up to {known}): update the program",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of its format.
        found: String,
        /// The largest that is read.
        known: u64,
    },
    /// A folder that is no run's and holds no model.
    #[error("{path} is a folder without a model: looked for {looked}{}", listed(steps), path = path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// The files that were looked for in it.
        looked: String,
        /// Folders below it that do hold a model, the oldest first.
        steps: Vec<PathBuf>,
    },
    /// The classes that the metadata tell are damaged, or not those of the heads.
    #[error(
        "{path}: the classes that its metadata tell cannot be used: {reason}. Take the file as it was trained, or remove `classes` \
         from the metadata, which leaves classes without names",
        path = path.display()
    )]
    Classes {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// A tensor whose numbers are of a type that is not read.
    #[error("{path}: {key}: numbers of type {dtype} are not read here; {advice}", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its type.
        dtype: String,
        /// What to do.
        advice: String,
    },
    /// A weight that is no number.
    #[error(
        "{path}: {key} holds {number} at {position:?}: the training that wrote it diverged; \
         take an earlier checkpoint of it",
        path = path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor, as the file calls it.
        key: String,
        /// Where in it, outermost dimension first; the first place.
        position: Vec<usize>,
        /// What stands there: NaN or an infinity.
        number: f32,
    },
    /// The file has no tensor of that name.
    #[error("{path}: no tensor is called {key}", path = path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        key: String,
    },
    /// The file's weights are not those that the model asks for.
    #[error("{path}: weights do not fit: {report}{hint}", path = path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Every difference.
        report: Box<Report>,
        /// What is known of the reason, behind a semicolon; empty if nothing is.
        hint: String,
    },
    /// No known variant has a trunk like the file's.
    #[error("{path}: fits no known variant: {reason}", path = path.display())]
    Variant {
        /// The file.
        path: PathBuf,
        /// What was seen, against each candidate.
        reason: String,
    },
    /// A trunk is to be converted, and nobody said into what.
    #[error("{path} holds SAM2's trunk only ({layout}): say what to make of it, a trunk or a whole SAM2-UNet", path = path.display())]
    NoTarget {
        /// The file.
        path: PathBuf,
        /// How it is spelled.
        layout: Layout,
    },
    /// A trunk is to become a whole SAM2-UNet, and there is no source of the rest.
    #[error("{path} holds SAM2's trunk only ({layout}): adapters, RFB and decoder need another source", path = path.display())]
    NoRest {
        /// The file.
        path: PathBuf,
        /// How it is spelled.
        layout: Layout,
    },
    /// A conversion that was not asked for clearly, or cannot be done.
    #[error("{0}")]
    Request(String),
    /// A source of weights failed while a file was being written.
    #[error(transparent)]
    Source(#[from] crate::nn::weights::SourceError),
    /// A file could not be written; a file of that name that was there before is as it was.
    #[error(
        "{path}: cannot write: {source}{} (a file of that name that was there before is untouched)",
        advice(source),
        path = path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The weights handed to a writer are not the ones announced to it.
    #[error("{path}: cannot write: {reason}", path = path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// `; there are 2 checkpoints, the newest in RUN/checkpoints/12: name one`.
fn listed(steps: &[PathBuf]) -> String {
    match steps {
        [] => String::new(),
        [only] => format!("; there is a checkpoint in {}: name it", only.display()),
        [.., newest] => {
            format!("; there are {} checkpoints, the newest in {}: name one", steps.len(), newest.display())
        }
    }
}

/// A reason found deep inside a file, before the file's name is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    /// Becomes [`CheckpointError::NotWeights`].
    NotWeights(String),
    /// Becomes [`CheckpointError::Damaged`].
    Damaged(String),
    /// Becomes [`CheckpointError::Code`].
    Code(String),
    /// Becomes [`CheckpointError::Unsupported`].
    Unsupported(String),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> CheckpointError {
        let path = path.to_path_buf();
        match self {
            Fault::NotWeights(reason) => CheckpointError::NotWeights { path, reason },
            Fault::Damaged(reason) => CheckpointError::Damaged { path, reason },
            Fault::Code(global) => CheckpointError::Code { path, global },
            Fault::Unsupported(reason) => {
                let reason = reason
                    .replace(FILE, &quoted(&path))
                    .replace(&python_text(OUTPUT), &python_text(output_beside(&path)));
                CheckpointError::Unsupported { path, reason }
            }
        }
    }
}
