//! Two folders of images, predictions and masks, paired by stem and scored.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::classes::error::{ClassError, IndexMap};
use super::classes::options::ClassOptions;
use super::classes::pair::{ClassPairScores, score_classes};
use super::pair::{MetricError, PairScores, score_pair};
use super::summary::Summary;
use crate::data::error::{BadFiles, DataError};
use crate::data::listing::Listing;
use crate::data::names::match_names;
use crate::data::pair_facts::MaskLevels;
use crate::data::pixels::Grey;
use crate::data::read::facts::ReadOptions;
use crate::data::read::read_grey_with;
use crate::data::unused::Few;
use crate::data::warning::{Warning, mask_warnings};

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
        Few(without)
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

/// A line for each of the first few; the only one stays on the line.
fn listed(pairs: &[SizesOfPair]) -> String {
    few_lines(pairs, |pair| {
        let ((width, height), (mask_width, mask_height)) = (pair.prediction_size, pair.mask_size);
        let (prediction, mask) = (pair.prediction.display(), pair.mask.display());
        format!("{prediction} is {width}x{height} pixels, {mask} is {mask_width}x{mask_height}")
    })
}

/// A line for each of the first few.
fn refused(pairs: &[RefusedPair]) -> String {
    few_lines(pairs, |pair| format!("{}: {}", pair.map.display(), pair.reason))
}

/// A line for each of the first few, and how many more there are; the only one stays on the line.
fn few_lines<T>(all: &[T], line: impl Fn(&T) -> String) -> String {
    const SHOWN: usize = 10;
    let start = if all.len() == 1 { " " } else { "\n  " };
    let more = all.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    all.iter().take(SHOWN).map(|one| format!("{start}{}", line(one))).collect::<String>() + &more
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
    without_mask: usize,
    options: PairingOptions,
}

#[derive(Clone, Debug)]
struct PairedFiles {
    stem: String,
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
        let matched = match_names(&stems, &predictions.stems());
        let mut files = Vec::with_capacity(stems.len());
        let mut without = Vec::new();
        for ((mask, stem), prediction) in masks.files().iter().zip(stems).zip(matched.candidates) {
            let mask = mask.clone();
            match prediction.map(|at| predictions.files()[at].clone()) {
                Some(prediction) => {
                    files.push(PairedFiles { stem: stem.to_string_lossy().into_owned(), prediction, mask })
                }
                None => without.push(mask),
            }
        }
        if !without.is_empty() {
            let (predictions, masks) = (predictions.folder().to_owned(), masks.files().len());
            return Err(EvaluationError::MissingPrediction { without, predictions, masks });
        }
        Ok(Self { name: name.into(), files, without_mask: matched.left.len(), options })
    }

    /// The data set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many pairs there are to score.
    pub fn pairs(&self) -> usize {
        self.files.len()
    }

    /// How many predictions have no mask; they are not scored.
    pub fn without_mask(&self) -> usize {
        self.without_mask
    }

    /// Reads and scores every pair, on rayon's threads; calls `scored` after each pair.
    ///
    /// # Errors
    ///
    /// When files cannot be read, when sizes differ, or a pair cannot be scored: all files of the first of these kinds.
    pub fn score(&self, scored: impl Fn() + Sync) -> Result<FolderScores, EvaluationError> {
        let found = self.each(|files| files.score(&self.options.read), scored)?;
        let stems = self.files.iter().map(|files| files.stem.clone());
        let (scores, levels): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let masks: Vec<_> = self.files.iter().map(|files| files.mask.as_path()).zip(&levels).collect();
        Ok(FolderScores {
            name: self.name.clone(),
            images: stems.zip(scores).collect(),
            warnings: mask_warnings(&masks),
        })
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
            let prediction = read_prediction(&files.prediction).map_err(Unscored::Data)?;
            let mask = read_mask(&files.mask).map_err(Unscored::Data)?;
            files.same_size(&prediction, &mask)?;
            score_classes(&prediction.data, &mask.data, mask.width, mask.height, options).map_err(|reason| {
                let of_mask = matches!(&reason, ClassError::Unknown { map: IndexMap::Mask, .. });
                let map = if of_mask { &files.mask } else { &files.prediction };
                Unscored::Classes(RefusedPair { map: map.clone(), reason })
            })
        };
        let stems = self.files.iter().map(|files| files.stem.clone());
        Ok(stems.zip(self.each(score, scored)?).collect())
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
                Err(Unscored::Data(error)) => unreadable.push(error),
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

/// Why a pair has no scores.
enum Unscored {
    Data(DataError),
    Sizes(SizesOfPair),
    Metric(EvaluationError),
    Classes(RefusedPair),
}

impl PairedFiles {
    fn score(&self, options: &ReadOptions) -> Result<(PairScores, MaskLevels), Unscored> {
        let (prediction, _) = read_grey_with(&self.prediction, options).map_err(Unscored::Data)?;
        let (mask, _) = read_grey_with(&self.mask, options).map_err(Unscored::Data)?;
        self.same_size(&prediction, &mask)?;
        let failed = |source| EvaluationError::Metric { prediction: self.prediction.clone(), source };
        let scores = score_pair(&prediction.data, &mask.data, mask.width, mask.height);
        Ok((scores.map_err(|source| Unscored::Metric(failed(source)))?, MaskLevels::of(&mask)))
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
    /// Each image's stem and scores, in bytewise order of the masks' names.
    pub images: Vec<(String, PairScores)>,
    /// What is likely wrong with the masks.
    pub warnings: Vec<Warning>,
}

impl FolderScores {
    /// The scores over all images.
    pub fn summary(&self) -> Summary {
        Summary::over(self.images.iter().map(|(_, scores)| scores))
    }
}
