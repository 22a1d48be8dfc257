//! The scores of several classes, of predictions and labels in files.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::classes::error::{ClassError, IndexMap};
use super::classes::options::{ClassOptions, OutlineOptions};
use super::classes::pair::ClassPairScores;
use super::classes::set::ClassSetScores;
use super::classes::truth::{ClassPrediction, score_truth};
use super::each::{Unscored, each};
use super::evaluation_error::{EvaluationError, RefusedPair, SizesOfPair};
use super::predicted_classes::PredictedClasses;
use crate::data::class_warnings::missing_class_warnings;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::index::read_index;
use crate::data::classes::values::{IGNORED, PixelValue, ValueTable};
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::inspect::label_warnings;
use crate::data::labels::reader::ReadLabels;
use crate::data::pair_facts::{LabelFacts, PairFacts, PictureFacts};
use crate::data::pixels::Grey;
use crate::data::read::facts::FileFacts;
use crate::data::read::read_grey_with;
use crate::data::size::picture_size;
use crate::data::warning::{Warning, image_warnings};
use crate::data::written::classes_of_prediction;

/// The scores of a data set's predictions of several classes.
#[derive(Clone, Debug)]
pub struct ClassFolderScores {
    /// The scores.
    pub set: ClassSetScores,
    /// What is worth knowing of how the predictions were read.
    pub about_predictions: Vec<Warning>,
    /// What is likely wrong with the labels, and what is worth knowing of how they were read.
    pub about_masks: Vec<Warning>,
}

/// Some of a set's pairs with several classes, scored.
pub(super) struct ScoredClasses {
    /// The set's classes.
    pub classes: ClassesOfSet,
    /// Each image's stem and scores.
    pub images: Vec<(String, ClassPairScores)>,
    pub about_predictions: Vec<Warning>,
    pub about_masks: Vec<Warning>,
}

/// The classes of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassesOfSet {
    pub kind: ClassKind,
    pub count: usize,
    /// None where classes have only numbers.
    pub names: Vec<String>,
}

impl ClassesOfSet {
    /// The scores of all pairs of a set.
    ///
    /// # Errors
    /// Without pairs, and when these are not of the classes.
    pub fn scores(
        &self,
        name: &str,
        images: Vec<(String, ClassPairScores)>,
    ) -> Result<(ClassSetScores, Vec<Warning>), EvaluationError> {
        let of_set = |source: ClassError| EvaluationError::Set { name: name.to_owned(), source };
        let scores = ClassSetScores::new(name, self.names.clone(), images).map_err(of_set)?;
        let warnings = match Classes::named(self.kind, self.names.clone()) {
            Ok(classes) => missing_class_warnings(&classes, &scores.summary().pixels(), None),
            // numbers have no names to tell
            Err(_) => Vec::new(),
        };
        Ok((scores, warnings))
    }
}

/// Reads and scores a stretch of the pairs; calls `scored` after each.
pub(super) fn score_classes_of(
    pairs: &PredictedClasses,
    stretch: Range<usize>,
    outlines: Option<OutlineOptions>,
    scored: impl Fn() + Sync,
) -> Result<ScoredClasses, EvaluationError> {
    let set = &pairs.set;
    let raw = raw_indices()?;
    // numbers of classes that nobody named are those of the whole set
    let count = set.classes().map_or_else(|| pairs.classes_seen(), Classes::len);
    let options = ClassOptions { classes: count, outlines };
    let files = &pairs.predictions[stretch.clone()];
    let predictions = files.iter().map(Vec::len).sum();
    let found = each(stretch.len(), predictions, |pair| pairs.score(stretch.start + pair, &raw, &options), scored)?;

    let mut facts = vec![None; pairs.pairs()];
    let (mut images, mut pictures) = (Vec::new(), Vec::new());
    for ((pair, files), found) in stretch.zip(files).zip(found) {
        images.push((pairs.names[pair].clone(), found.scores));
        facts[pair] = Some(found.facts);
        pictures.extend(files.iter().map(PathBuf::as_path).zip(found.predictions));
    }
    let pictures: Vec<_> = pictures.iter().map(|(path, facts)| (*path, facts)).collect();
    let names = set.classes().into_iter().flat_map(Classes::names).map(String::from).collect();
    let classes = ClassesOfSet { kind: pairs.kind(), count, names };
    let about_masks = label_warnings(set, &facts);
    Ok(ScoredClasses { classes, images, about_predictions: image_warnings(&pictures), about_masks })
}

/// Every value of 8 bits stands for itself.
fn raw_indices() -> Result<ValueTable, DataError> {
    let value = |value: u8| PixelValue::Number(i64::from(value));
    let classes: Vec<_> = (0..IGNORED).map(|class| vec![value(class)]).collect();
    Ok(ValueTable::index_table(&classes, &[value(IGNORED)])?)
}

/// Why a prediction is not of these classes, if its file says so.
fn other_classes(file: &Path, classes: &Classes) -> Option<ClassError> {
    // what cannot be read is told when it is
    let found = classes_of_prediction(file).ok()??;
    let is_like = match classes.kind {
        ClassKind::Exclusive => found.is_like(classes),
        ClassKind::Overlapping => found.kind == classes.kind,
    };
    (!is_like).then(|| ClassError::Others { found: found.told(), wanted: classes.told() })
}

/// A pair's scores, and what is known of its files.
struct Scored {
    scores: ClassPairScores,
    facts: PairFacts,
    predictions: Vec<PictureFacts>,
}

impl PredictedClasses {
    /// How many classes there are where nobody named them: as many as the largest number in a mask tells.
    fn classes_seen(&self) -> usize {
        let highest = |pair: usize| match self.labels(pair, None) {
            Ok(ReadLabels { truth, values, .. }) => LabelFacts::of(&truth, &[], None, values).classes.len(),
            // told when the pair is scored
            Err(_) => 0,
        };
        (0..self.pairs()).into_par_iter().map(highest).max().unwrap_or(0).max(2)
    }

    /// What is true of a pair's pixels; an image that has no file of labels is of the size of its prediction.
    fn labels(&self, pair: usize, size: Option<(usize, usize)>) -> Result<ReadLabels, DataError> {
        let (files, read) = (&self.set.pairs()[pair], &self.set.options().read);
        let size = || size.map_or_else(|| picture_size(&files.image, read), Ok);
        self.set.reader().read(pair, &files.masks, size, read)
    }

    fn score(&self, pair: usize, raw: &ValueTable, options: &ClassOptions) -> Result<Scored, Unscored> {
        let (files, masks) = (&self.predictions[pair], &self.set.pairs()[pair].masks);
        if let Some(classes) = self.set.classes()
            && let Some((map, reason)) =
                files.iter().find_map(|file| Some((file.clone(), other_classes(file, classes)?)))
        {
            return Err(Unscored::Classes(RefusedPair { map, reason }));
        }
        let predicted = self.read_predictions(files, raw);
        let size = predicted.as_ref().ok().and_then(|predicted| Some(predicted.first()?.0.size()));
        let (predicted, labels) = match (predicted, self.labels(pair, size)) {
            (Ok(predicted), Ok(labels)) => (predicted, labels),
            // where only the prediction tells the size, one that cannot be read is told once
            (Err(mut errors), Err(labels)) if !masks.is_empty() => {
                errors.extend(labels.each());
                return Err(Unscored::Data(errors));
            }
            (Err(errors), _) => return Err(Unscored::Data(errors)),
            (_, Err(error)) => return Err(error.into()),
        };
        let ReadLabels { truth, files: mask_facts, values, colours } = labels;
        let shown = self.set.pairs()[pair].shown();
        let differing: Vec<SizesOfPair> = files
            .iter()
            .zip(&predicted)
            .filter(|(_, (map, _))| map.size() != truth.size())
            .map(|(file, (map, _))| SizesOfPair {
                prediction: file.clone(),
                prediction_size: map.size(),
                mask: shown.to_owned(),
                mask_size: truth.size(),
            })
            .collect();
        if !differing.is_empty() {
            return Err(Unscored::Sizes(differing));
        }
        let (maps, facts): (Vec<Grey>, Vec<FileFacts>) = predicted.into_iter().unzip();
        let predictions: Vec<_> = facts.iter().map(|facts| PictureFacts::of(truth.size(), facts)).collect();
        let prediction = match self.kind() {
            ClassKind::Overlapping => ClassPrediction::Labels(maps),
            // each pair has one
            ClassKind::Exclusive => ClassPrediction::Index(maps.into_iter().next().unwrap_or(Grey::filled(0, 0, [0]))),
        };
        let scores = score_truth(&truth, &prediction, options).map_err(|reason| {
            let of_mask = matches!(&reason, ClassError::Unknown { map: IndexMap::Mask, .. });
            let map = if of_mask { shown } else { &files[0] };
            Unscored::Classes(RefusedPair { map: map.to_owned(), reason })
        })?;
        let planes = self.set.reader().planes(pair);
        let facts = PairFacts {
            image: predictions[0].clone(),
            masks: mask_facts.iter().map(|(size, facts)| PictureFacts::of(*size, facts)).collect(),
            size: truth.size(),
            labels: LabelFacts { colours, ..LabelFacts::of(&truth, planes, Some(options.classes), values) },
        };
        Ok(Scored { scores, facts, predictions })
    }

    /// An index map as it stands, or masks.
    fn read_predictions(&self, files: &[PathBuf], raw: &ValueTable) -> Result<Vec<(Grey, FileFacts)>, Vec<DataError>> {
        let options = &self.set.options().read;
        let read = |path: &PathBuf| match self.kind() {
            ClassKind::Overlapping => read_grey_with(path, options),
            ClassKind::Exclusive => read_index(path, raw, options),
        };
        let (read, errors): (Vec<_>, Vec<_>) = files.iter().map(read).partition(Result::is_ok);
        let errors: Vec<DataError> = errors.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(read.into_iter().flatten().collect()) } else { Err(errors) }
    }
}
