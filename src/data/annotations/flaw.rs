//! What can be wrong with annotations.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::runs::RunsError;
use crate::data::pixels::MAX_PIXELS;

/// No coordinate is farther from the image's corner, in pixels: so far, all sums and products of painting fit into
/// their numbers.
pub(super) const FARTHEST: f64 = 10_000_000.0;

/// Why annotations cannot be used, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is no JSON, or ends before its end.
    #[error("{} is no whole JSON file: {reason}; export it again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A file is JSON, but holds something else.
    #[error("{} is no COCO annotation file: {reason}", path.display())]
    NotCoco {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The names of classes cannot be used.
    #[error("{0}")]
    Classes(String),
    /// Some annotations cannot be used.
    #[error(transparent)]
    Bad(#[from] BadAnnotations),
    /// An image has another size than its annotations say.
    #[error(
        "{} says that {image} is {}x{} pixels, but it is {}x{}; {}",
        path.display(), said.0, said.1, is.0, is.1,
        if (said.1, said.0) == *is {
            "if viewers show it turned, set `exif_orientation` to \"apply\"; otherwise annotate this file"
        } else {
            "annotate this file, or put back the one that was annotated"
        }
    )]
    SizeDiffers {
        /// The annotation file.
        path: PathBuf,
        /// The image.
        image: String,
        /// Width and height of the annotations.
        said: (usize, usize),
        /// Width and height of the image.
        is: (usize, usize),
    },
    /// Images of an annotation file are not there.
    #[error(
        "{} of {of} images that {} lists are not in {}: {}; add them, or take them out of the annotation file",
        missing.len(), path.display(), folder.display(), few(missing, missing.len())
    )]
    MissingImages {
        /// The annotation file.
        path: PathBuf,
        /// The folder of the images.
        folder: PathBuf,
        /// The names of the images that are not there.
        missing: Vec<String>,
        /// How many the file lists.
        of: usize,
    },
}

/// How many of a list are named.
pub(super) const NAMED: usize = 3;

/// The first few of so many, and how many there are beside them.
pub(super) fn few(list: &[String], of: usize) -> String {
    let shown = &list[..list.len().min(NAMED)];
    let more = of.saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Annotations that cannot be used, each with its reason. Displays as a list, grouped by cause.
#[derive(Debug, Default)]
pub struct BadAnnotations {
    /// How many were looked at.
    pub of: usize,
    /// What is wrong, in the order of the files.
    pub bad: Vec<BadAnnotation>,
}

/// Something in an annotation file that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct BadAnnotation {
    /// The file.
    pub file: Arc<Path>,
    /// Where in the file.
    pub place: Place,
    /// What is wrong.
    pub flaw: Flaw,
}

/// A place in an annotation file.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// The file itself.
    File,
    /// An annotation, by its id.
    Annotation(Id),
    /// An annotation without an id, by its number from 1 on.
    AnnotationNumber(usize),
    /// An entry of the list of images, by its id.
    Image(Id),
    /// An entry of the list of images without an id, by its number from 1 on.
    ImageNumber(usize),
    /// An entry of the list of categories, by its number from 1 on.
    CategoryNumber(usize),
    /// A shape, by its number from 1 on, and its label.
    Shape(usize, String),
    /// A line, from 1 on.
    Line(usize),
}

/// What entries of a COCO file are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number, as COCO has it.
    Number(i64),
    /// Text, as some tools write it.
    Text(Box<str>),
}

/// What is wrong with an annotation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A file is no JSON.
    #[error("it is no whole JSON file of this kind: {0}; save it again")]
    Json(String),
    /// Something is not there.
    #[error("it has no \"{0}\"; export the file again")]
    Missing(&'static str),
    /// Something is of another kind.
    #[error("its \"{0}\" is not {1}; export the file again")]
    Kind(&'static str, &'static str),
    /// An image that the file does not list.
    #[error("its image_id {0} is not among the \"images\"; export the file with its images, or remove the annotation")]
    UnknownImage(Id),
    /// A category that the file does not list.
    #[error("its category_id {0} is not among the \"categories\"; add the category, or remove the annotation")]
    UnknownCategory(Id),
    /// Two entries with one id.
    #[error("its id {0} is another one's too; give each its own")]
    SameId(Id),
    /// Two entries with one name.
    #[error("its name `{0}` is another one's too; give each its own")]
    SameName(String),
    /// An image without pixels, or with more than are read.
    #[error("its size {0}x{1} is not that of an image of 1 to {MAX_PIXELS} pixels; export the file again")]
    Size(i64, i64),
    /// A coordinate that is no number, or not finite.
    #[error("a coordinate is not a finite number; draw the shape again, or remove it")]
    NotANumber,
    /// A coordinate that can only be a mistake.
    #[error("a coordinate is {0}, more than {FARTHEST} pixels away; draw the shape again, or remove it")]
    TooFar(f64),
    /// Coordinates that are no pairs.
    #[error("a polygon has {0} numbers, which are no pairs of x and y; draw the shape again, or remove it")]
    Odd(usize),
    /// A polygon that is not in a list of polygons.
    #[error("its \"segmentation\" is a list of numbers; COCO has a list of polygons: [[x, y, x, y, ...]]")]
    Flat,
    /// A segmentation of another kind.
    #[error(
        "its \"segmentation\" is neither a list of polygons nor run lengths (\"counts\", \"size\"); export it as one of these"
    )]
    Segmentation,
    /// Run lengths that say nothing.
    #[error("{0}; export the annotation again")]
    Runs(#[from] RunsError),
    /// Run lengths of another size than their image.
    #[error(
        "its run lengths are of {}x{} pixels, but the image has {}x{}; export the annotation again",
        .0.0, .0.1, .1.0, .1.1
    )]
    RunsSize((usize, usize), (usize, usize)),
    /// A shape with a number of points that it cannot have.
    #[error("a {shape} has {needs}, not {found}; draw the shape again, or remove it")]
    Points {
        /// The kind of shape.
        shape: &'static str,
        /// What it has.
        needs: &'static str,
        /// How many are there.
        found: usize,
    },
    /// A kind of shape that is not known.
    #[error(
        "shapes of type `{0}` are not known (polygon, rectangle, oriented_rectangle, circle, point, line, \
         linestrip, mask are)"
    )]
    UnknownShape(String),
    /// A label that is none of the classes.
    #[error("its label is none of the classes ({0}); rename the label, or add it to the classes")]
    UnknownLabel(String),
    /// The number of a class that is not there.
    #[error(
        "its class {class} is not among the {classes} classes, which count from 0; add the class, or correct the number"
    )]
    UnknownClass {
        /// The number.
        class: String,
        /// How many classes there are.
        classes: usize,
    },
    /// A mask that cannot be used.
    #[error("its mask cannot be used: {0}; draw the shape again, or remove it")]
    Mask(String),
    /// A line of a label file that is neither a polygon nor a box.
    #[error("a line has {0} numbers; a polygon has its class and three or more pairs of x and y")]
    Line(usize),
    /// Coordinates that are not divided by the image's size.
    #[error("a coordinate is {0}, but they are to be divided by the image's width and height, so 0 to 1")]
    NotNormalised(f64),
}

impl Flaw {
    /// What kind of trouble it is, to group annotations by.
    fn cause(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::Json(_) => "cannot be read",
            Self::Missing(_) | Self::Kind(..) => "lack what they need",
            Self::UnknownImage(_) => "are of an image that is not listed",
            Self::UnknownCategory(_) | Self::UnknownLabel(_) | Self::UnknownClass { .. } => "are of an unknown class",
            Self::SameId(_) | Self::SameName(_) => "are there twice",
            Self::Size(..) => "have no usable size",
            Self::NotANumber | Self::TooFar(_) | Self::NotNormalised(_) => "have coordinates that cannot be",
            Self::Odd(_) | Self::Points { .. } | Self::Line(_) => "have a number of coordinates that cannot be",
            Self::Flat | Self::Segmentation | Self::UnknownShape(_) => "are of a kind that is not known",
            Self::Runs(_) | Self::RunsSize(..) | Self::Mask(_) => "have a mask that cannot be read",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Annotation(id) => write!(f, "annotation {id}"),
            Self::AnnotationNumber(number) => write!(f, "annotation number {number}"),
            Self::Image(id) => write!(f, "image {id}"),
            Self::ImageNumber(number) => write!(f, "image number {number}"),
            Self::CategoryNumber(number) => write!(f, "category number {number}"),
            Self::Shape(number, label) => write!(f, "shape {number} ({label})"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

impl fmt::Display for BadAnnotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File => write!(f, "{}: {}", self.file.display(), self.flaw),
            place => write!(f, "{}, {place}: {}", self.file.display(), self.flaw),
        }
    }
}

impl std::error::Error for BadAnnotations {}

/// How many of each cause are named.
const SHOWN: usize = 10;

impl fmt::Display for BadAnnotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.bad[..] {
            return only.fmt(f);
        }
        let mut groups: Vec<(&str, Vec<&BadAnnotation>)> = Vec::new();
        for bad in &self.bad {
            let cause = bad.flaw.cause();
            match groups.iter_mut().find(|(other, _)| *other == cause) {
                Some((_, group)) => group.push(bad),
                None => groups.push((cause, vec![bad])),
            }
        }
        write!(f, "{} of {} entries cannot be used", self.bad.len(), self.of)?;
        for (cause, group) in groups {
            write!(f, "\n{} {cause}:", group.len())?;
            for bad in group.iter().take(SHOWN) {
                write!(f, "\n  {bad}")?;
            }
            if group.len() > SHOWN {
                write!(f, "\n  and {} more", group.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}
