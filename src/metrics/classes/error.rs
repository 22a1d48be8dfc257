//! Why classes cannot be scored.

use std::fmt;

use crate::data::classes::class::ClassKind;
use crate::metrics::pair::MetricError;

/// Why classes cannot be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// No class, or too many of them.
    #[error("cannot score {classes} classes: it takes 1 to 255 (the value 255 stands for ignored pixels)")]
    Classes {
        /// How many there were to be.
        classes: usize,
    },
    /// A tolerance that is no distance.
    #[error("nsd_tolerance is a distance, 0 or more, not {nsd_tolerance}")]
    Tolerance {
        /// What was given.
        nsd_tolerance: f64,
    },
    /// A pair of impossible size.
    #[error(transparent)]
    Pair(#[from] MetricError),
    /// The numbers of levels are not a mask for each class.
    #[error(
        "{classes} classes of {width}x{height} pixels need {} levels in the masks and in the prediction, and as many, \
         {} or none of what is ignored; but the masks have {truth}, the prediction {prediction} and \
         what is ignored {ignored}",
        classes * width * height, width * height
    )]
    Masks {
        /// The number of classes.
        classes: usize,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Levels of the masks.
        truth: usize,
        /// Levels of the prediction.
        prediction: usize,
        /// Levels of what is ignored.
        ignored: usize,
    },
    /// Values that are no class.
    #[error(
        "the {map} has values that are no class: {}; with {classes} classes they are 0 to {}{}",
        Values(found), classes - 1, map.hint()
    )]
    Unknown {
        /// Where they were found.
        map: IndexMap,
        /// Each such value and its number of pixels, most pixels first.
        found: Vec<(u8, u64)>,
        /// The number of classes.
        classes: usize,
    },
    /// Masks and prediction of different kinds.
    #[error("the masks are of classes that are {masks}, the prediction of classes that are {prediction}")]
    Kinds {
        /// What is right.
        masks: ClassKind,
        /// What is scored.
        prediction: ClassKind,
    },
    /// A prediction of other classes than the masks.
    #[error("its file says that it is of {found}, but the masks are of {wanted}")]
    Others {
        /// The prediction's.
        found: String,
        /// The masks'.
        wanted: String,
    },
    /// A set without images.
    #[error("a set without images has no scores")]
    Empty,
    /// Images of several sets.
    #[error(
        "cannot add up images of different sets: one has {} {} classes, another {} {}",
        .0.1, .0.0, .1.1, .1.0
    )]
    Mixed((ClassKind, usize), (ClassKind, usize)),
    /// Another number of names than of classes.
    #[error("{classes} classes have {names} names; give one for each, or none")]
    Names {
        /// The number of classes.
        classes: usize,
        /// The number of names.
        names: usize,
    },
}

/// One of the two index maps of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexMap {
    /// What is right.
    Mask,
    /// What is scored.
    Prediction,
}

impl IndexMap {
    fn hint(self) -> &'static str {
        match self {
            Self::Mask => ", and 255 where a pixel is ignored",
            Self::Prediction => "; only masks may have ignored pixels (255)",
        }
    }
}

impl fmt::Display for IndexMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mask => "mask",
            Self::Prediction => "prediction",
        })
    }
}

/// The first few values with their pixels.
struct Values<'a>(&'a [(u8, u64)]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (number, (value, pixels)) in self.0.iter().take(SHOWN).enumerate() {
            let (comma, plural) = (if number == 0 { "" } else { ", " }, if *pixels == 1 { "" } else { "s" });
            write!(f, "{comma}{value} ({pixels} pixel{plural})")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
