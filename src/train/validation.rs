//! How good a model is on the validation set, by the maps that `predict` would save.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::run_folder::state::SELECTION_KEY;
use crate::data::classes::class::Classes;
use crate::data::classes::prediction::{predicted_index, predicted_labels};
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::mask::saved_mask;
use crate::data::truth::Truth;
use crate::metrics::classes::error::ClassError;
use crate::metrics::classes::key::ClassKey;
use crate::metrics::classes::options::{ClassOptions, OutlineOptions};
use crate::metrics::classes::pair::ClassPairScores;
use crate::metrics::classes::stored::StoredClassPair;
use crate::metrics::classes::summary::ClassSummary;
use crate::metrics::classes::truth::{ClassPrediction, score_truth};
use crate::metrics::pair::{MetricError, PairScores, score_pair};
use crate::metrics::stored::StoredPair;
use crate::metrics::summary::Summary;

/// The scores on a validation set. Serialise as a map from their names to numbers; of several classes the means, and IoU and Dice of
/// each class.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidationScores {
    /// Of one class.
    OneClass(Summary),
    /// Of several.
    Classes(ClassSummary),
}

impl Serialize for ValidationScores {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let summary = match self {
            Self::OneClass(summary) => return summary.serialize(to),
            Self::Classes(summary) => summary,
        };
        let finite = |value: f64| value.is_finite().then_some(value);
        let mut map = to.serialize_map(None)?;
        for (key, value) in summary.means() {
            map.serialize_entry(key, &finite(value))?;
        }
        for key in ["IoU", "Dice"] {
            let values = summary.of_class(key).unwrap_or_default();
            map.serialize_entry(key, &values.iter().map(|value| finite(*value)).collect::<Vec<_>>())?;
        }
        map.end()
    }
}

/// The score by which the best model is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// [`SELECTION_KEY`], of one class.
    OneClass,
    /// A score of several classes.
    Classes(ClassKey),
}

impl Selection {
    /// What is chosen by where the settings say `best_by`, or nothing.
    pub fn of(classes: Option<&Classes>, best_by: Option<ClassKey>) -> Self {
        match classes {
            None => Self::OneClass,
            Some(classes) => Self::Classes(best_by.unwrap_or_else(|| ClassKey::default_of(classes.kind))),
        }
    }

    /// The score's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneClass => SELECTION_KEY,
            Self::Classes(key) => key.name(),
        }
    }

    /// Whether a score is better than another.
    pub fn is_better(self, score: f64, than: f64) -> bool {
        match self {
            Self::OneClass => score > than,
            Self::Classes(key) => key.is_better(score, than),
        }
    }

    /// A score that every other one is better than.
    pub fn worst(self) -> f64 {
        match self {
            Self::Classes(key) if key.lower_is_better() => f64::MAX,
            _ => f64::MIN,
        }
    }

    /// The score; NaN where there is none.
    pub fn score(self, scores: &ValidationScores) -> f64 {
        match (self, scores) {
            (Self::OneClass, ValidationScores::OneClass(summary)) => summary.get(SELECTION_KEY).unwrap_or(f64::NAN),
            (Self::Classes(key), ValidationScores::Classes(summary)) => key.of(summary),
            _ => f64::NAN,
        }
    }
}

/// What is known of one image's prediction.
pub(super) enum ImageScores {
    OneClass(Box<PairScores>),
    Classes(ClassPairScores),
}

/// [`ImageScores`] as they are sent: the numbers come back as they are.
#[derive(Serialize, Deserialize)]
enum StoredScores {
    OneClass(StoredPair),
    Classes(StoredClassPair),
}

/// Scores of images as bytes, for other processes.
///
/// # Errors
/// None that occurs: all of it has a JSON form.
pub(super) fn scores_to_bytes(scores: &[ImageScores]) -> serde_json::Result<Vec<u8>> {
    // names are known: the order of the images is
    let stored = |scores: &ImageScores| match scores {
        ImageScores::OneClass(scores) => StoredScores::OneClass(StoredPair::of("", scores)),
        ImageScores::Classes(scores) => StoredScores::Classes(StoredClassPair::of("", scores)),
    };
    serde_json::to_vec(&scores.iter().map(stored).collect::<Vec<_>>())
}

/// What [`scores_to_bytes`] made of scores of these classes.
///
/// # Errors
/// When the bytes are no scores.
pub(super) fn scores_of_bytes(bytes: &[u8], classes: Option<&Classes>) -> Result<Vec<ImageScores>, String> {
    let stored: Vec<StoredScores> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let scores = |stored| match (stored, classes) {
        (StoredScores::OneClass(stored), _) => Ok(ImageScores::OneClass(Box::new(stored.scores()?.1))),
        (StoredScores::Classes(stored), Some(Classes { kind, .. })) => {
            Ok(ImageScores::Classes(stored.scores(*kind, classes.map_or(1, Classes::len))?.1))
        }
        (StoredScores::Classes(_), None) => Err("of several classes, where there is one".to_string()),
    };
    stored.into_iter().map(scores).collect()
}

/// Scores the logits `(K, side, side)` of the image `index`.
pub(super) fn score_image(
    dataset: &dyn Dataset,
    index: usize,
    logits: &[f32],
    side: usize,
    selection: Selection,
) -> Result<ImageScores, TrainError> {
    let truth = dataset.truth(index)?;
    let (width, height) = truth.size();
    let name = || dataset.name(index).to_string();
    truth.check(dataset.classes()).map_err(|reason| DataError::Truth { name: name(), reason })?;
    let metric = |source: MetricError| TrainError::Metric { name: name(), source };
    let class = |source: ClassError| TrainError::ClassMetric { name: name(), source };
    let outlines = match selection {
        Selection::Classes(key) if key.needs_outlines() => Some(OutlineOptions::default()),
        _ => None,
    };
    let options = ClassOptions { classes: dataset.classes().map_or(1, Classes::len), outlines };
    if let Truth::Mask(mask) = &truth {
        let map = saved_mask(logits, side, width, height, false);
        let scores = score_pair(&map.data, &mask.data, width, height).map_err(metric)?;
        return Ok(ImageScores::OneClass(Box::new(scores)));
    }
    let classes = options.classes;
    let predicted = match &truth {
        Truth::Index(_) => ClassPrediction::Index(predicted_index(logits, classes, side, width, height)),
        _ => ClassPrediction::Labels(predicted_labels(logits, classes, side, width, height)),
    };
    Ok(ImageScores::Classes(score_truth(&truth, &predicted, &options).map_err(class)?))
}

/// The scores over all images, in their order.
pub(super) fn over(images: Vec<ImageScores>) -> Result<ValidationScores, ClassError> {
    let (mut of_one, mut of_classes) = (Vec::new(), Vec::new());
    for image in images {
        match image {
            ImageScores::OneClass(scores) => of_one.push(*scores),
            ImageScores::Classes(scores) => of_classes.push(scores),
        }
    }
    Ok(match of_classes.is_empty() {
        true => ValidationScores::OneClass(Summary::of(&of_one)),
        false => ValidationScores::Classes(ClassSummary::of(&of_classes)?),
    })
}
