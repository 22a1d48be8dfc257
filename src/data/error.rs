//! Everything that can go wrong between a folder and a batch.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::annotations::flaw::AnnotationError;
use super::classes::class::ClassesError;
use super::classes::unknown::UnknownValues;
use super::classes::values::ValueTwice;
use super::layout::list_error::NameListError;
use super::pixels::MAX_PIXELS;
use super::unused::{Lacking, Unused};
use crate::files::space::advice;

/// What is wrong with the data, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A folder cannot be listed.
    #[error("cannot read the folder {}: {source}", path.display())]
    ReadFolder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder holds no image file.
    #[error(
        "no image files in {} (looked for files ending in {looked_for}){}",
        path.display(), holds(unused)
    )]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The endings that count as an image.
        looked_for: String,
        /// What it holds.
        unused: Unused,
    },
    /// Images have no mask of the same stem.
    #[error(
        "{} of {images} images have no mask in {}: {}; a mask is an image file {}, whatever its ending{}",
        without.len(),
        masks.display(),
        Lacking { files: without, of: *images },
        if **called == *"IMAGE" { "of the same stem".to_string() } else { format!("called {called}") },
        hints(suffix.as_deref(), unclear.as_deref(), *empty_masks)
    )]
    MissingMask {
        /// The images without a mask.
        without: Vec<PathBuf>,
        /// The folder of the masks.
        masks: Box<Path>,
        /// How many images there are.
        images: usize,
        /// What a mask would be called: `IMAGE` with what comes behind an image's stem.
        called: Box<str>,
        /// What the name of every mask has behind that of its image, if there is such a thing.
        suffix: Option<Box<str>>,
        /// Of the first image that several masks differ from in case or Unicode's form only, which these are.
        unclear: Option<Box<str>>,
        /// How many files of the masks' folder are empty.
        empty_masks: usize,
    },
    /// A list of names is wrong.
    #[error(transparent)]
    Names(#[from] NameListError),
    /// It is not known where images and labels are.
    #[error(transparent)]
    Layout(Box<dyn std::error::Error + Send + Sync>),
    /// Annotations cannot be used.
    #[error("{0}")]
    Annotations(Box<AnnotationError>),
    /// A mask holds values that mean no class.
    #[error(
        "{}: {unknown}; correct the mask, or name the value with its class (`classes` with a file) or as `ignore`",
        path.display()
    )]
    UnknownValues {
        /// The file.
        path: PathBuf,
        /// The values.
        unknown: UnknownValues,
    },
    /// A mask whose values mean classes is compressed with loss, so that its values are not exact.
    #[error(
        "{}: {format} keeps no exact values, so classes cannot be told; save masks as PNG where they were drawn, as what {format} has \
         blurred stays so",
        path.display()
    )]
    LossyMask {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// A value stands twice in a table of classes.
    #[error(transparent)]
    Twice(#[from] ValueTwice),
    /// There are no such classes.
    #[error(transparent)]
    Classes(#[from] ClassesError),
    /// What is given of a data set does not go together.
    #[error("{0}")]
    Description(String),
    /// A file of annotations lists none of the images.
    #[error("{} lists none of the images in {}; is it another set's?", annotations.display(), images.display())]
    NoneListed {
        /// The file.
        annotations: PathBuf,
        /// The folder of the images.
        images: PathBuf,
    },
    /// Masks of one image have different sizes.
    #[error(
        "{} is {}x{} pixels and {} is {}x{}: all masks of an image must have one size",
        first.display(), size.0, size.1, second.display(), other.0, other.1
    )]
    PlanesDiffer {
        /// One of them.
        first: PathBuf,
        /// Its width and height.
        size: (usize, usize),
        /// Another one.
        second: PathBuf,
        /// Its width and height.
        other: (usize, usize),
    },
    /// A pair has no file that a mask could be read from.
    #[error("the pair number {index} has no mask")]
    NoMaskFile {
        /// Its number, from 0.
        index: usize,
    },
    /// What is true of an image's pixels does not go with the classes of its [`Dataset`](super::dataset::Dataset).
    #[error("{name}: {reason}")]
    Truth {
        /// The sample's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No image has a file with its labels.
    #[error(
        "none of the images in {} has its labels in a file {} {}",
        images.display(), called,
        folder.as_ref().map_or("beside it".to_string(), |folder| format!("in {}", folder.display()))
    )]
    NoLabelFiles {
        /// The folder of the images.
        images: PathBuf,
        /// What such a file is called: `IMAGE.json`.
        called: &'static str,
        /// The folder of the files, if they are not beside the images.
        folder: Option<PathBuf>,
    },
    /// A batch has index maps of some images and masks of others: a defect of a [`Dataset`](super::dataset::Dataset) of one's own.
    #[error("index maps and masks cannot be in one batch; a data set must give all of one kind")]
    MixedBatch,
    /// Images and masks are looked for in one folder: each image would be its own mask.
    #[error("{} is given for the images and for the masks; they must be two folders", path.display())]
    OneFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Two files of one folder share a stem, so that a pair is ambiguous.
    #[error(
        "{} and {} have the same stem{}; rename or remove one of them",
        first.display(), second.display(),
        if *others == 0 { String::new() } else { format!(", and {others} more such pairs of files do") }
    )]
    SameStem {
        /// The first of them, by name.
        first: PathBuf,
        /// The second of them.
        second: PathBuf,
        /// How many more files share their stem with another.
        others: usize,
    },
    /// A file cannot be read at all.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A path leads to something that is no regular file.
    #[error("{} is {what}; an image must be a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it leads to: `a folder`, `a pipe (FIFO)`, `a device`.
        what: &'static str,
    },
    /// A file of no bytes.
    #[error("{} is empty (0 bytes): copy or download it again, or remove it", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is longer than any image that is read.
    #[error(
        "{} has {bytes} bytes, more than the limit of {limit} for an image; scale it down or compress it first",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A file's content is known, but is of a kind that is not read, whatever its name says.
    #[error("{} is {kind}, which is not read; {advice}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What it is: `HEIC (an iPhone photo)`.
        kind: &'static str,
        /// How to come by a file that is read.
        advice: &'static str,
    },
    /// A file's content is nothing that is known, whatever its name says.
    #[error(
        "{} is not an image (its content is none of PNG, JPEG, BMP, GIF, TIFF, WebP, PNM, TGA)",
        path.display()
    )]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// A file is truncated, corrupt, or of a flavour that is not read.
    #[error("cannot decode {}: {reason}; replace the file, or save it again as 8-bit PNG", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A file's header promises more pixels than is sane (a decompression bomb, or a damaged header).
    #[error(
        "{} says that it is {width}x{height} pixels, more than the limit of {MAX_PIXELS} in all \
         (and, of a WebP, of 16384 to a side); scale it down first",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The width in its header.
        width: usize,
        /// The height in its header.
        height: usize,
    },
    /// An image and its mask have different shapes.
    #[error(
        "{name}: the image is {}x{} pixels but its mask is {}x{}, another shape; make the mask anew, or set `resize_masks` to take \
         it as it is",
        image.0, image.1, mask.0, mask.1
    )]
    SizesDiffer {
        /// The pair: the paths of its files where there are any, otherwise its name.
        name: String,
        /// Width and height of the image.
        image: (usize, usize),
        /// Width and height of the mask.
        mask: (usize, usize),
    },
    /// A mask fits its image only as the image's EXIF orientation shows it, or only as it lies in the file.
    #[error(
        "{} and {}: the mask fits the image only {}",
        image.display(), mask.display(), turned(*orientation, *applied)
    )]
    TurnedImage {
        /// The image.
        image: PathBuf,
        /// The mask.
        mask: PathBuf,
        /// The image's EXIF orientation, or TIFF's.
        orientation: u8,
        /// Whether it was applied.
        applied: bool,
    },
    /// A mask fits its image only as the mask's own orientation shows it, or only as it lies in the file.
    #[error(
        "{} and {}: the mask fits the image only {}",
        image.display(), mask.display(), turned_mask(*orientation, *applied)
    )]
    TurnedMask {
        /// The image.
        image: PathBuf,
        /// The mask.
        mask: PathBuf,
        /// The mask's EXIF orientation, or TIFF's.
        orientation: u8,
        /// Whether it was applied.
        applied: bool,
    },
    /// Several files cannot be used.
    #[error(transparent)]
    Bad(#[from] BadFiles),
    /// An image of a [`Dataset`](super::dataset::Dataset) of one's own has no pixels.
    #[error("{name}: the image is {}x{} pixels: there is nothing to see", size.0, size.1)]
    NoPixels {
        /// The sample's name.
        name: String,
        /// Width and height.
        size: (usize, usize),
    },
    /// A picture cannot be written.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    Write {
        /// The file that was to appear.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A batch of no sample was asked for.
    #[error("an empty batch: there must be an image")]
    EmptyBatch,
    /// A batch was asked for at a side that no network takes.
    #[error("a batch's side must be a multiple of 32 from 64 on, not {side}")]
    Side {
        /// Pixels to a side.
        side: usize,
    },
    /// A [`Dataset`](super::dataset::Dataset) of one's own gave an example of another size than it was asked for.
    #[error(
        "{name}: an example of side {side} has {} numbers in its image and {} in its {}, not {image} and {mask}",
        3 * side * side, planes * side * side,
        if *planes == 1 { "mask".to_string() } else { format!("{planes} masks") }
    )]
    ExampleSize {
        /// The sample's name.
        name: String,
        /// The side that was asked for.
        side: usize,
        /// Masks that it must have: one for each class that may overlap, or one index map.
        planes: usize,
        /// Numbers of the image.
        image: usize,
        /// Numbers of the mask.
        mask: usize,
    },
    /// A background thread ended while it prepared a sample: a defect of a decoder or of a [`Dataset`](super::Dataset).
    #[error("a loading thread ended while preparing {name}; the sample's files may be damaged, check them one by one")]
    Worker {
        /// The sample's name.
        name: String,
    },
}

impl From<AnnotationError> for DataError {
    fn from(error: AnnotationError) -> Self {
        Self::Annotations(Box::new(error))
    }
}

fn holds(unused: &Unused) -> String {
    if unused.is_empty() { ": it is empty".to_string() } else { format!("; it holds {unused}") }
}

/// When a mask fits, and what to do.
fn turned(orientation: u8, applied: bool) -> String {
    match applied {
        false => format!(
            "if it is turned as viewers show it (EXIF orientation {orientation}); set `exif_orientation` to \"apply\""
        ),
        true => format!(
            "as it lies in the file, not turned by its orientation ({orientation}): turn the mask, or set `exif_orientation` to \
             \"ignore\" (TIFF is always turned: save it as PNG)"
        ),
    }
}

/// When a mask with an orientation of its own fits, and what to do.
fn turned_mask(orientation: u8, applied: bool) -> String {
    match applied {
        false => format!(
            "if the mask is turned as viewers show it (its own EXIF orientation is {orientation}); set `exif_orientation` to \
             \"apply\", or save the mask without it"
        ),
        true => format!(
            "as the mask lies in its file, not turned by its own orientation ({orientation}): save the mask without it, or set \
             `exif_orientation` to \"ignore\""
        ),
    }
}

/// What may have gone wrong where masks are missing.
fn hints(suffix: Option<&str>, unclear: Option<&str>, empty_masks: usize) -> String {
    let mut hints = String::new();
    if let Some(suffix) = suffix {
        hints += &format!(". Every mask is called IMAGE{suffix}: set `mask_suffix` to \"{suffix}\"");
    }
    if let Some(unclear) = unclear {
        hints += &format!(
            ". {unclear}, as they differ from it in case or Unicode's form only: rename the one that is meant"
        );
    }
    if empty_masks > 0 {
        hints += &format!(". {empty_masks} files among the masks have zero bytes");
    }
    hints
}

/// Files that cannot be used, each with its reason. Displays as a list, grouped by cause.
#[derive(Debug)]
pub struct BadFiles {
    /// How many pairs were looked at.
    pub of: usize,
    /// What is wrong, in the order of the pairs.
    pub errors: Vec<DataError>,
}

impl std::error::Error for BadFiles {}

impl fmt::Display for BadFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.errors[..] {
            return only.fmt(f);
        }
        let mut groups: Vec<(&str, Vec<&DataError>)> = Vec::new();
        for error in &self.errors {
            let cause = error.cause();
            match groups.iter_mut().find(|(other, _)| *other == cause) {
                Some((_, errors)) => errors.push(error),
                None => groups.push((cause, vec![error])),
            }
        }
        match self.of {
            // what is wrong is wrong with the sets
            0 => write!(f, "{} sets cannot be used", self.errors.len())?,
            of => write!(f, "{} files of {of} pairs cannot be used", self.errors.len())?,
        }
        for (cause, errors) in groups {
            write!(f, "\n{} {cause}:", errors.len())?;
            for error in errors {
                write!(f, "\n  {error}")?;
            }
        }
        Ok(())
    }
}

impl DataError {
    /// Each of several errors, or this one.
    pub(crate) fn each(self) -> Vec<Self> {
        match self {
            Self::Bad(BadFiles { errors, .. }) => errors,
            one => vec![one],
        }
    }

    /// One error of them all, if there are any, in `of` pairs that were looked at.
    pub(crate) fn all(mut errors: Vec<Self>, of: usize) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Bad(BadFiles { of, errors })),
        }
    }

    /// What kind of trouble it is, to group files by.
    fn cause(&self) -> &'static str {
        match self {
            Self::MissingMask { .. } | Self::SameStem { .. } | Self::OneFolder { .. } | Self::EmptyFolder { .. } => {
                "cannot be paired"
            }
            Self::ReadFolder { .. } => "cannot be listed",
            Self::Names(_) => "have a list of names that cannot be used",
            Self::ReadFile { .. } => "cannot be read",
            Self::NotAnImage { .. } | Self::Unread { .. } => "are no images that are read",
            Self::EmptyFile { .. } => "are empty",
            Self::NotAFile { .. } => "are no files",
            Self::Decode { .. } => "cannot be decoded",
            Self::TooLarge { .. } | Self::TooLong { .. } => "are too large",
            Self::SizesDiffer { .. } => "differ in shape from their image",
            Self::PlanesDiffer { .. } => "differ in size from another mask of their image",
            Self::UnknownValues { .. } => "hold values that mean no class",
            Self::LossyMask { .. } => "keep no exact values",
            Self::Annotations(_) => "have annotations that cannot be used",
            Self::TurnedImage { .. } => "fit their image only when it is turned",
            Self::TurnedMask { .. } => "fit their image only when they are turned",
            _ => "fail otherwise",
        }
    }
}
