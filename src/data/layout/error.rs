//! What can be wrong with the layout of a data set.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use super::list_error::NameListError;
use crate::data::error::DataError;

/// Why it is not known where images and masks are, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A folder or file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was given is a file, and none that describes a data set.
    #[error("{} is a file; set `data` to the folder of a data set, or to its YAML file", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// A folder has none of the known layouts.
    #[error(
        "{} has no layout that is known; set `images` and `masks` to the two folders. There is: {there}{}\nLooked \
         for:{}",
        root.display(), lines(hints), lines(looked_for)
    )]
    NotFound {
        /// The folder.
        root: PathBuf,
        /// The layouts.
        looked_for: Vec<&'static str>,
        /// What the folder holds.
        there: String,
        /// What may have been meant.
        hints: Vec<String>,
    },
    /// A folder has more than one layout.
    #[error(
        "{} can be read in {} ways:{}\nSet `images` and `masks` (or `annotations`) to say which",
        root.display(), candidates.len(), lines(candidates)
    )]
    Ambiguous {
        /// The folder.
        root: PathBuf,
        /// What was found.
        candidates: Vec<String>,
    },
    /// The file that describes a data set is no YAML, or has not the keys and values of such a file.
    #[error("{}, line {line}, column {column}: {reason}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on; 0 if it is not known.
        line: u64,
        /// The column, from 1 on.
        column: u64,
        /// What is wrong there.
        reason: String,
    },
    /// nnU-Net's `dataset.json` cannot be understood.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// Images of nnU-Net have several channels, each in a file.
    #[error(
        "{} holds images of {channels} channels, each a file ({example}); the network takes one picture of up to \
         three colours: make one of them, or copy the files of one channel to a folder, and set `images` and `masks`",
        images.display()
    )]
    Channels {
        /// The folder of the images.
        images: PathBuf,
        /// How many there are.
        channels: usize,
        /// Names of the files of one image.
        example: String,
    },
    /// A list of names is wrong.
    #[error(transparent)]
    Names(#[from] NameListError),
    /// The files of a folder cannot be listed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The share that is held out is none.
    #[error("`val_fraction` must be above 0 and below 1, not {fraction}")]
    Fraction {
        /// What was given.
        fraction: f64,
    },
    /// There are too few images to hold one out.
    #[error("`val_fraction` needs two images or more, one to train on and one to hold out; there are {names}")]
    TooFewToHoldOut {
        /// How many there are.
        names: usize,
    },
    /// Masks of classes were looked for, and there are none.
    #[error("{} holds no masks of classes: looked for {looked_for}; there is: {there}", masks.display())]
    NoClasses {
        /// The folder of the masks.
        masks: PathBuf,
        /// What they would be called.
        looked_for: &'static str,
        /// What the folder holds.
        there: String,
    },
    /// Classes have no mask of any image.
    #[error(
        "no image has a mask of {}: looked for {looked_for} in {}; the masks there are of {}. Add the masks, or leave the class out of \
         `classes`",
        classes.join(", "), masks.display(),
        if there.is_empty() { "no class".to_string() } else { there.join(", ") }
    )]
    ClassWithoutFile {
        /// The classes.
        classes: Vec<String>,
        /// The folder of the masks.
        masks: PathBuf,
        /// What their masks would be called.
        looked_for: String,
        /// The classes of which there are masks.
        there: Vec<String>,
    },
    /// A mask may be of two images, as the name of one begins with the other's.
    #[error("{} may be the mask of class {} or of class {}; rename it", mask.display(), classes[0], classes[1])]
    ClassUnclear {
        /// The mask.
        mask: PathBuf,
        /// The two classes.
        classes: [String; 2],
    },
    /// A class is named twice, or has a name that means something else.
    #[error("the class `{name}`: {reason} (`classes`)")]
    ClassName {
        /// The class.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl From<LayoutError> for DataError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::Data(error) => error,
            LayoutError::Names(error) => error.into(),
            other => Self::Layout(Box::new(other)),
        }
    }
}

fn lines<T: Display>(texts: &[T]) -> String {
    texts.iter().map(|text| format!("\n  {text}")).collect()
}
