//! Two folders of images, predictions and masks, paired by stem and scored.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::classes::error::{ClassError, IndexMap};
use super::classes::options::ClassOptions;
use super::classes::pair::{ClassPairScores, score_classes};
use super::pair::{MetricError, PairScores, score_pair};
use super::summary::Summary;
use crate::data::error::{BadFiles, DataError};
use crate::data::listing::Listing;
use crate::data::names::{match_names, name_as_text};
use crate::data::pair_facts::{MaskLevels, PictureFacts};
use crate::data::pixels::Grey;
use crate::data::read::facts::ReadOptions;
use crate::data::read::read_grey_with;
use crate::data::unused::{Lacking, Unused};
use crate::data::warning::{Warning, image_warnings, mask_warnings};

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
        /// The masks without a prediction.
        without: Vec<PathBuf>,
        /// The folder of the predictions.
        predictions: PathBuf,
        /// How many masks there are.
        masks: usize,
    },
    /// Predictions of another size than their mask.
    #[error("{} of {of} predictions have another size than their mask, at which they are scored:{}", pairs.len(), listed(pairs))]
    SizesDiffer {
        /// Those that differ, in the order of the masks' names.
        pairs: Vec<SizesOfPair>,
        /// How many pairs there are.
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
    /// Pairs of index maps that cannot be scored.
    #[error("{} of {of} pairs cannot be scored:{}", pairs.len(), refused(pairs))]
    Classes {
        /// Those, in the order of the masks' names.
        pairs: Vec<RefusedPair>,
        /// How many pairs there are.
        of: usize,
    },
}

/// A pair of index maps that cannot be scored.
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

/// How the files of [`PairedFolders`] are found and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairingOptions {
    /// Folders in the folders count too.
    pub recursive: bool,
    /// How files are read.
    pub read: ReadOptions,
}

/// The predictions of a data set and their masks, not read yet.
#[derive(Clone, Debug)]
pub struct PairedFolders {
    name: String,
    files: Vec<PairedFiles>,
    found: FoundBeside,
    options: PairingOptions,
}

/// What was found in the two folders of [`PairedFolders`] beside their pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundBeside {
    /// Predictions without a mask; they are not scored. Overlays (`STEM.overlay` beside `STEM`) are none.
    pub without_mask: Vec<PathBuf>,
    /// Predictions whose mask has a name that differs in case or Unicode's form.
    pub loosely_named: Vec<PathBuf>,
    /// What else lies among the predictions.
    pub among_predictions: Unused,
    /// What else lies among the masks.
    pub among_masks: Unused,
}

#[derive(Clone, Debug)]
struct PairedFiles {
    /// The stem as text that no other stem has.
    name: String,
    prediction: PathBuf,
    mask: PathBuf,
}

impl PairedFolders {
    /// Finds each mask's prediction: the image file with the same stem. Opens no image.
    ///
    /// # Errors
    ///
    /// As [`Listing::of`] for either folder, and where masks have no prediction.
    pub fn open(
        name: impl Into<String>,
        predictions: &Path,
        masks: &Path,
        options: PairingOptions,
    ) -> Result<Self, EvaluationError> {
        let [predictions, masks] =
            [Listing::of(predictions, options.recursive)?, Listing::of(masks, options.recursive)?];
        let stems = masks.stems();
        let predicted = predictions.stems();
        let matched = match_names(&stems, &predicted);
        let mut files = Vec::with_capacity(stems.len());
        let mut without = Vec::new();
        let at = |prediction: usize| predictions.files()[prediction].clone();
        for ((mask, stem), prediction) in masks.files().iter().zip(stems).zip(&matched.candidates) {
            let mask = mask.clone();
            match prediction.map(at) {
                Some(prediction) => files.push(PairedFiles { name: name_as_text(&stem), prediction, mask }),
                None => without.push(mask),
            }
        }
        if !without.is_empty() {
            let (predictions, masks) = (predictions.folder().to_owned(), masks.files().len());
            return Err(EvaluationError::MissingPrediction { without, predictions, masks });
        }
        let found = FoundBeside {
            without_mask: without_overlays(&matched.left, &predicted).map(at).collect(),
            loosely_named: matched.loose.iter().map(|index| files[*index].prediction.clone()).collect(),
            among_predictions: predictions.unused().clone(),
            among_masks: masks.unused().clone(),
        };
        Ok(Self { name: name.into(), files, found, options })
    }

    /// The data set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many pairs there are to score.
    pub fn pairs(&self) -> usize {
        self.files.len()
    }

    /// What was found beside the pairs.
    pub fn found(&self) -> &FoundBeside {
        &self.found
    }

    /// Reads and scores every pair, on rayon's threads; calls `scored` after each pair.
    ///
    /// # Errors
    ///
    /// When files cannot be read, when sizes differ, or a pair cannot be scored: all files of the first of these kinds.
    pub fn score(&self, scored: impl Fn() + Sync) -> Result<FolderScores, EvaluationError> {
        let found = self.each(|files| files.score(&self.options.read), scored)?;
        let (mut images, mut read) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
        for (files, scored) in self.files.iter().zip(found) {
            images.push((files.name.clone(), scored.scores));
            read.push((files, scored.prediction, scored.mask, scored.levels));
        }
        let predictions: Vec<_> = read.iter().map(|(files, facts, ..)| (files.prediction.as_path(), facts)).collect();
        let masks: Vec<_> = read.iter().map(|(files, _, facts, _)| (files.mask.as_path(), facts)).collect();
        let pixels = |facts: &PictureFacts| (facts.width * facts.height) as u64;
        let levels = read.iter().map(|(files, _, facts, levels)| (files.mask.as_path(), levels, pixels(facts)));
        let levels: Vec<_> = levels.collect();
        let mut about_masks = mask_warnings(&levels);
        about_masks.extend(image_warnings(&masks));
        let about_predictions = image_warnings(&predictions);
        Ok(FolderScores { name: self.name.clone(), images, about_predictions, about_masks })
    }

    /// Reads and scores every pair of index maps, on rayon's threads: `read_prediction` and `read_mask` give a file's
    /// map, whose values are classes (255 in a mask where a pixel is ignored); calls `scored` after each pair. Gives
    /// each image's stem and scores, in bytewise order of the masks' names. One pair for each thread is in memory at a
    /// time.
    ///
    /// # Errors
    ///
    /// When files cannot be read, when sizes differ, or a map has values that are no class: all files of the first of
    /// these kinds.
    pub fn score_classes(
        &self,
        options: &ClassOptions,
        read_prediction: impl Fn(&Path) -> Result<Grey, DataError> + Sync,
        read_mask: impl Fn(&Path) -> Result<Grey, DataError> + Sync,
        scored: impl Fn() + Sync,
    ) -> Result<Vec<(String, ClassPairScores)>, EvaluationError> {
        let score = |files: &PairedFiles| {
            let prediction = read_prediction(&files.prediction).map_err(|error| Unscored::Data(vec![error]))?;
            let mask = read_mask(&files.mask).map_err(|error| Unscored::Data(vec![error]))?;
            files.same_size(&prediction, &mask)?;
            score_classes(&prediction.data, &mask.data, mask.width, mask.height, options).map_err(|reason| {
                let of_mask = matches!(&reason, ClassError::Unknown { map: IndexMap::Mask, .. });
                let map = if of_mask { &files.mask } else { &files.prediction };
                Unscored::Classes(RefusedPair { map: map.clone(), reason })
            })
        };
        let names = self.files.iter().map(|files| files.name.clone());
        Ok(names.zip(self.each(score, scored)?).collect())
    }

    /// What `score` makes of each pair, on rayon's threads; calls `scored` after each pair.
    fn each<T: Send>(
        &self,
        score: impl Fn(&PairedFiles) -> Result<T, Unscored> + Sync,
        scored: impl Fn() + Sync,
    ) -> Result<Vec<T>, EvaluationError> {
        // in order, so that neither the sums nor the errors reported depend on the threads
        let score = |files: &PairedFiles| {
            let found = score(files);
            scored();
            found
        };
        let found: Vec<_> = self.files.par_iter().map(score).collect();
        let of = found.len();
        let mut scores = Vec::with_capacity(of);
        let (mut unreadable, mut differing, mut unscored, mut refused) = (Vec::new(), Vec::new(), None, Vec::new());
        for found in found {
            match found {
                Ok(found) => scores.push(found),
                Err(Unscored::Data(errors)) => unreadable.extend(errors),
                Err(Unscored::Sizes(pair)) => differing.push(pair),
                Err(Unscored::Metric(error)) => unscored = unscored.or(Some(error)),
                Err(Unscored::Classes(pair)) => refused.push(pair),
            }
        }
        if !unreadable.is_empty() {
            return Err(DataError::Bad(BadFiles { of, errors: unreadable }).into());
        }
        if !differing.is_empty() {
            return Err(EvaluationError::SizesDiffer { pairs: differing, of });
        }
        if let Some(error) = unscored {
            return Err(error);
        }
        if !refused.is_empty() {
            return Err(EvaluationError::Classes { pairs: refused, of });
        }
        Ok(scores)
    }
}

/// A pair's scores, and what is known of its files.
struct Scored {
    scores: PairScores,
    prediction: PictureFacts,
    mask: PictureFacts,
    levels: MaskLevels,
}

/// Those of the stems `left` that are not what `predict` calls another one's overlay.
fn without_overlays(left: &[usize], stems: &[OsString]) -> impl Iterator<Item = usize> {
    let all: HashSet<&[u8]> = stems.iter().map(|stem| stem.as_encoded_bytes()).collect();
    let is_overlay = move |at: &usize| {
        let of = stems[*at].as_encoded_bytes().strip_suffix(b".overlay");
        of.is_some_and(|stem| all.contains(stem))
    };
    left.iter().copied().filter(move |at| !is_overlay(at))
}

/// Why a pair has no scores.
enum Unscored {
    /// One or both of its files cannot be read.
    Data(Vec<DataError>),
    Sizes(SizesOfPair),
    Metric(EvaluationError),
    Classes(RefusedPair),
}

impl PairedFiles {
    fn score(&self, options: &ReadOptions) -> Result<Scored, Unscored> {
        let read = [&self.prediction, &self.mask].map(|path| read_grey_with(path, options));
        let ((prediction, prediction_facts), (mask, mask_facts)) = match read {
            [Ok(prediction), Ok(mask)] => (prediction, mask),
            read => return Err(Unscored::Data(read.into_iter().filter_map(Result::err).collect())),
        };
        self.same_size(&prediction, &mask)?;
        let failed = |source| EvaluationError::Metric { prediction: self.prediction.clone(), source };
        let scores = score_pair(&prediction.data, &mask.data, mask.width, mask.height);
        Ok(Scored {
            scores: scores.map_err(|source| Unscored::Metric(failed(source)))?,
            prediction: PictureFacts::of(prediction.size(), &prediction_facts),
            mask: PictureFacts::of(mask.size(), &mask_facts),
            levels: MaskLevels::of(&mask),
        })
    }

    fn same_size(&self, prediction: &Grey, mask: &Grey) -> Result<(), Unscored> {
        if prediction.size() == mask.size() {
            return Ok(());
        }
        Err(Unscored::Sizes(SizesOfPair {
            prediction: self.prediction.clone(),
            prediction_size: prediction.size(),
            mask: self.mask.clone(),
            mask_size: mask.size(),
        }))
    }
}

/// The scores of a data set's predictions.
#[derive(Clone, Debug)]
pub struct FolderScores {
    /// The data set's name.
    pub name: String,
    /// Each image's stem and scores, in bytewise order of the masks' names. A stem that is no Unicode has `\xFF` for a byte that is
    /// none, so that no two are alike.
    pub images: Vec<(String, PairScores)>,
    /// What is worth knowing of how the predictions were read.
    pub about_predictions: Vec<Warning>,
    /// What is likely wrong with the masks, and what is worth knowing of how they were read.
    pub about_masks: Vec<Warning>,
}

impl FolderScores {
    /// The scores over all images.
    pub fn summary(&self) -> Summary {
        Summary::over(self.images.iter().map(|(_, scores)| scores))
    }
}
