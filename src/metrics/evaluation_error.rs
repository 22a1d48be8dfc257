//! Why predictions in files cannot be scored.

use std::path::PathBuf;

use super::classes::error::ClassError;
use super::pair::MetricError;
use crate::data::classes::class::ClassKind;
use crate::data::error::DataError;
use crate::data::unused::Lacking;

/// Why folders cannot be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A folder or a file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Masks without a prediction.
    #[error(
        "{} of {masks} masks have no prediction in {}: {}; a prediction is an image file of the same stem, whatever its ending",
        without.len(),
        predictions.display(),
        Lacking { files: without, of: *masks }
    )]
    MissingPrediction {
        /// The masks without a prediction; of annotations in one file, the images that they are of.
        without: Vec<PathBuf>,
        /// The folder of the predictions.
        predictions: PathBuf,
        /// How many masks there are.
        masks: usize,
    },
    /// No mask is called as masks are said to be.
    #[error("none of {of} masks in {} is called {called} (`mask_suffix`)", masks.display())]
    NoneSuffixed {
        /// The folder of the masks.
        masks: PathBuf,
        /// What a mask is called: `IMAGE` with what comes behind an image's stem.
        called: String,
        /// How many masks there are.
        of: usize,
    },
    /// Classes that may overlap without a folder of predictions.
    #[error(
        "there are no predictions of {} in {}, which has {}; a prediction of a class that may overlap with others is \
         {}/CLASS/IMAGE.png",
        classes.join(", "), predictions.display(), there, predictions.display()
    )]
    MissingClasses {
        /// The classes.
        classes: Vec<String>,
        /// The folder of the predictions.
        predictions: PathBuf,
        /// What it has.
        there: String,
    },
    /// Images that have a prediction of one class, but not of each.
    #[error(
        "{} of {of} predictions are missing; an image needs one of each class that may overlap with others: {}",
        files.len(), shown(files)
    )]
    MissingOfClass {
        /// The files that are missing, whatever their ending.
        files: Vec<PathBuf>,
        /// How many there must be.
        of: usize,
    },
    /// Index maps are expected, but there is a folder for each class.
    #[error(
        "{} has folders and no predictions in itself, but the labels are of classes that exclude each other: a prediction is \
         then one index map, {}/IMAGE.png",
        predictions.display(), predictions.display()
    )]
    NoIndexMaps {
        /// The folder of the predictions.
        predictions: PathBuf,
    },
    /// Predictions say that they are of another kind of classes.
    #[error(
        "the predictions in {} are of classes that are {predicted}, but the labels of classes that are {labels}; {}",
        predictions.display(),
        match predicted {
            ClassKind::Exclusive => "give index masks, a table of values (`classes`), or annotations without `overlapping`",
            ClassKind::Overlapping => "give masks in a folder for each class, or annotations",
        }
    )]
    KindsDiffer {
        /// The folder of the predictions.
        predictions: PathBuf,
        /// What they say.
        predicted: ClassKind,
        /// What the labels are.
        labels: ClassKind,
    },
    /// Predictions say that their index maps have other classes.
    #[error(
        "the predictions in {} are of the classes {}, but the labels of {}; `classes` must name the same in the same order, as the \
         numbers in a prediction are theirs",
        predictions.display(), predicted.join(", "), labels.join(", ")
    )]
    ClassesDiffer {
        /// The folder of the predictions.
        predictions: PathBuf,
        /// What they say.
        predicted: Vec<String>,
        /// What the labels have.
        labels: Vec<String>,
    },
    /// Masks of one class of which it is not known whether 255 is foreground.
    #[error(
        "the predictions in {} are of one class, `{class}`, and {} has no folder of that name: set `labels` to \"binary\" if white \
         is foreground in these masks, to \"index\" if they hold 0, 1 and, where pixels are ignored, 255",
        predictions.display(), masks.display()
    )]
    OneClassUnclear {
        /// The folder of the predictions.
        predictions: PathBuf,
        /// Its class.
        class: String,
        /// The folder of the masks.
        masks: PathBuf,
    },
    /// Predictions of another size than their mask.
    #[error("{} of {of} predictions have another size than their mask, at which they are scored:{}", pairs.len(), listed(pairs))]
    SizesDiffer {
        /// Those that differ, in the order of the masks' names.
        pairs: Vec<SizesOfPair>,
        /// How many predictions there are.
        of: usize,
    },
    /// A pair that cannot be scored.
    #[error("{}: {source}", prediction.display())]
    Metric {
        /// The prediction.
        prediction: PathBuf,
        /// The reason.
        source: MetricError,
    },
    /// Pairs with several classes that cannot be scored.
    #[error("{} of {of} pairs cannot be scored:{}", pairs.len(), refused(pairs))]
    Classes {
        /// Those, in the order of the predictions' names.
        pairs: Vec<RefusedPair>,
        /// How many pairs there are.
        of: usize,
    },
    /// A set with several classes that cannot be scored.
    #[error("{name}: {source}")]
    Set {
        /// The set's name.
        name: String,
        /// The reason.
        source: ClassError,
    },
}

/// A pair with several classes that cannot be scored.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedPair {
    /// The map that is wrong, the prediction if both are.
    pub map: PathBuf,
    /// The reason.
    pub reason: ClassError,
}

/// A prediction and its mask, and their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizesOfPair {
    /// The prediction.
    pub prediction: PathBuf,
    /// Its width and height.
    pub prediction_size: (usize, usize),
    /// The mask.
    pub mask: PathBuf,
    /// Its width and height.
    pub mask_size: (usize, usize),
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A line for each pair; the only one stays on the line.
fn listed(pairs: &[SizesOfPair]) -> String {
    lines(pairs, |pair| {
        let ((width, height), (mask_width, mask_height)) = (pair.prediction_size, pair.mask_size);
        let (prediction, mask) = (pair.prediction.display(), pair.mask.display());
        format!("{prediction} is {width}x{height} pixels, {mask} is {mask_width}x{mask_height}")
    })
}

/// A line for each pair.
fn refused(pairs: &[RefusedPair]) -> String {
    lines(pairs, |pair| format!("{}: {}", pair.map.display(), pair.reason))
}

/// A line for each; the only one stays on the line.
fn lines<T>(all: &[T], line: impl Fn(&T) -> String) -> String {
    let start = if all.len() == 1 { " " } else { "\n  " };
    all.iter().map(|one| format!("{start}{}", line(one))).collect()
}
