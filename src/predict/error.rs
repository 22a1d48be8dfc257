//! Why there is no prediction.

use crate::checkpoint::error::CheckpointError;
use crate::data::error::DataError;
use crate::nn::network::NetworkError;
use crate::nn::weights::build::BuildError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The path and what is wrong, which may begin with the path already.
fn of_file(path: &Path, source: &BuildError) -> String {
    let (path, told) = (path.display().to_string(), source.to_string());
    if told.starts_with(&path) { told } else { format!("{path}: {told}") }
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model cannot be built from it.
    #[error("{}", of_file(path, source))]
    Build {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        source: BuildError,
    },
    /// An image cannot be read, or a mask not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model could not run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The checkpoint names a side that the network does not have.
    #[error("{path} says that it was trained at side {found:?}, which is none of this network's")]
    TrainedSize {
        /// The checkpoint.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// Two images would give one file.
    #[error("{first} and {second} would both give {target}: predict them into different folders, or rename one")]
    SameTarget {
        /// One image.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The file.
        target: PathBuf,
    },
    /// One image is given twice.
    #[error("{image} is given twice")]
    Twice {
        /// The image.
        image: PathBuf,
    },
    /// One file is to take the masks of several images.
    #[error("{path} ends in .png, so it is the mask of one image, but there are {images}")]
    OneFile {
        /// The file.
        path: PathBuf,
        /// How many images there are.
        images: usize,
    },
    /// One file is to take what there is for each class.
    #[error("{path} ends in .png, so it is one file, but there is one to write for each of {classes} classes")]
    OneFileForClasses {
        /// The file.
        path: PathBuf,
        /// How many classes there are.
        classes: usize,
    },
    /// Probabilities are asked for in the form that masks have.
    #[error(
        "masks are the probabilities already, `floor(255 p)` in 8 bits, unless classes exclude each other; tiff gives them as \
         32-bit numbers"
    )]
    MasksAreProbabilities,
    /// An option for soft masks, of a model that makes none.
    #[error(
        "the classes of this model exclude each other, and each pixel is of the most likely one: there is no soft mask for `{0}`"
    )]
    NoSoftMask(&'static str),
    /// One mask is asked for, of a model of several classes.
    #[error("this model has {0} classes: there is no one mask of them")]
    SeveralClasses(usize),
    /// The files of a job are those for a model of other classes.
    #[error("{}: the files to write were planned for other classes than the model's", .0.display())]
    OtherClasses(PathBuf),
    /// Labels that are described belong to a folder of images.
    #[error("labels are found for a folder of images, not for images that are named one by one")]
    LabelsOfNoFolder,
    /// Masks would lie among the images, and be taken for images the next time.
    #[error("{}: masks would be written over the images, or among them", .0.display())]
    OverImages(PathBuf),
    /// Predictions would lie among the masks whose sizes they take, and be taken for masks the next time.
    #[error("{}: predictions would be written among the masks whose sizes they take", .0.display())]
    AmongMasks(PathBuf),
    /// A file would be written over one that is read.
    #[error("{}: this would be written over the images or masks that are read", .0.display())]
    OverSource(PathBuf),
    /// Files are in the way that no prediction made.
    #[error(
        "{} of {of} files to write are there already, and were not written by `predict`:{}",
        files.len(),
        listed(files)
    )]
    Existing {
        /// The files.
        files: Vec<PathBuf>,
        /// How many files there are to write.
        of: usize,
    },
    /// A folder, a pipe or a device is where a file is to be.
    #[error("{} is no file: nothing can be written in its place", .0.display())]
    InTheWay(PathBuf),
    /// Images have no mask whose size their prediction could take.
    #[error(
        "{} of {images} images have no mask in {}; a mask is an image file of the same stem, whatever its ending{}:{}",
        without.len(),
        masks.display(),
        renamed(suffix.as_deref()),
        listed(without)
    )]
    NoMask {
        /// The images without a mask.
        without: Vec<PathBuf>,
        /// The folder of the masks.
        masks: PathBuf,
        /// How many images there are.
        images: usize,
        /// What the name of every mask has behind that of its image, if there is such a thing.
        suffix: Option<String>,
    },
    /// There is no image.
    #[error("{path}: {source}")]
    NoImages {
        /// What was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A list of images cannot be read.
    #[error("cannot read the list of images, {list}: {source}")]
    List {
        /// The list.
        list: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A list names no image.
    #[error("{list} lists no image; it takes one path a line")]
    EmptyList {
        /// The list.
        list: PathBuf,
    },
    /// A list names files that are not there.
    #[error("{list}, line {line}: {image}: {source} ({missing} of {images} images are missing)")]
    Listed {
        /// The list.
        list: PathBuf,
        /// The line of the first such file, from 1.
        line: usize,
        /// The first such file.
        image: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
        /// How many files there are like it.
        missing: usize,
        /// How many files are listed.
        images: usize,
    },
    /// The folder for the masks cannot be made, or not be written to.
    #[error("cannot write into {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PredictError {
    /// Whether there is no room to write to: what fails for it fails for every image.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Data(DataError::Write { source, .. }) | Self::Folder { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// What may be wrong with the names of masks.
fn renamed(suffix: Option<&str>) -> String {
    suffix.map(|suffix| format!(" (every mask is called IMAGE{suffix}: rename the masks)")).unwrap_or_default()
}

/// The first few of many paths, each on a line of its own, and how many there are beside them; the only one stays on
/// the line.
fn listed(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 10;
    if let [only] = paths {
        return format!(" {}", only.display());
    }
    let mut lines: String = paths.iter().take(SHOWN).map(|path| format!("\n  {}", path.display())).collect();
    if paths.len() > SHOWN {
        lines += &format!("\n  and {} more", paths.len() - SHOWN);
    }
    lines
}
