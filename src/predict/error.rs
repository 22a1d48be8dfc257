//! Why there is no prediction.

use crate::checkpoint::error::CheckpointError;
use crate::data::error::DataError;
use crate::nn::network::NetworkError;
use crate::nn::weights::build::BuildError;
use std::path::PathBuf;

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model cannot be built from it.
    #[error("{path}: {source}")]
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
    /// Masks would replace, or be taken for, the images they are made of.
    #[error("{0}: masks would be written over the images, or among them")]
    OverImages(PathBuf),
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
