//! Two folders of images, predictions and masks, paired by stem and scored.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::pair::{MetricError, PairScores, score_pair};
use super::summary::Summary;
use crate::data::error::DataError;
use crate::data::folder::image_files;
use crate::data::read::read_grey;

/// Why folders cannot be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A folder or a file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Masks without a prediction.
    #[error(
        "{} has no prediction in {} ({missing} of {masks} masks have none); \
         a prediction is an image file of the same stem, whatever its ending",
        mask.display(),
        predictions.display()
    )]
    MissingPrediction {
        /// The first mask without a prediction.
        mask: PathBuf,
        /// The folder of the predictions.
        predictions: PathBuf,
        /// How many masks have no prediction.
        missing: usize,
        /// How many masks there are.
        masks: usize,
    },
    /// A prediction of another size than its mask.
    #[error(
        "{} is {}x{} pixels but its mask {} is {}x{}; predictions are scored at the mask's size, so write them at it",
        prediction.display(), prediction_size.0, prediction_size.1, mask.display(), mask_size.0, mask_size.1
    )]
    SizesDiffer {
        /// The prediction.
        prediction: PathBuf,
        /// Its width and height.
        prediction_size: (usize, usize),
        /// The mask.
        mask: PathBuf,
        /// Its width and height.
        mask_size: (usize, usize),
    },
    /// A pair that cannot be scored.
    #[error("{}: {source}", prediction.display())]
    Metric {
        /// The prediction.
        prediction: PathBuf,
        /// The reason.
        source: MetricError,
    },
}

/// The predictions of a data set and their masks, not read yet.
#[derive(Clone, Debug)]
pub struct PairedFolders {
    name: String,
    files: Vec<PairedFiles>,
    without_mask: usize,
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
    /// As [`image_files`] for either folder, and where a mask has no prediction.
    pub fn open(name: impl Into<String>, predictions: &Path, masks: &Path) -> Result<Self, EvaluationError> {
        let prediction_files = image_files(predictions)?;
        let mask_files = image_files(masks)?;
        let stem = |path: &Path| path.file_stem().map(OsStr::to_owned).unwrap_or_default();
        let mut prediction_of: HashMap<_, _> = prediction_files.into_iter().map(|path| (stem(&path), path)).collect();

        let total = mask_files.len();
        let mut files = Vec::with_capacity(total);
        let mut without_prediction = Vec::new();
        for mask in mask_files {
            let stem = stem(&mask);
            match prediction_of.remove(&stem) {
                Some(prediction) => {
                    files.push(PairedFiles { stem: stem.to_string_lossy().into_owned(), prediction, mask })
                }
                None => without_prediction.push(mask),
            }
        }
        match without_prediction.first() {
            None => Ok(Self { name: name.into(), files, without_mask: prediction_of.len() }),
            Some(first) => Err(EvaluationError::MissingPrediction {
                mask: first.clone(),
                predictions: predictions.to_owned(),
                missing: without_prediction.len(),
                masks: total,
            }),
        }
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
    /// For the first pair, by the mask's name, that cannot be read or whose sizes differ.
    pub fn score(&self, scored: impl Fn() + Sync) -> Result<FolderScores, EvaluationError> {
        // in order, so that neither the sums nor the error reported depend on the threads
        let images: Vec<_> = self
            .files
            .par_iter()
            .map(|files| {
                let scores = files.score();
                scored();
                scores
            })
            .collect();
        let stems = self.files.iter().map(|files| files.stem.clone());
        let images = stems.zip(images).map(|(stem, scores)| Ok((stem, scores?)));
        Ok(FolderScores { name: self.name.clone(), images: images.collect::<Result<_, EvaluationError>>()? })
    }
}

impl PairedFiles {
    fn score(&self) -> Result<PairScores, EvaluationError> {
        let prediction = read_grey(&self.prediction)?;
        let mask = read_grey(&self.mask)?;
        if prediction.size() != mask.size() {
            return Err(EvaluationError::SizesDiffer {
                prediction: self.prediction.clone(),
                prediction_size: prediction.size(),
                mask: self.mask.clone(),
                mask_size: mask.size(),
            });
        }
        score_pair(&prediction.data, &mask.data, mask.width, mask.height)
            .map_err(|source| EvaluationError::Metric { prediction: self.prediction.clone(), source })
    }
}

/// The scores of a data set's predictions.
#[derive(Clone, Debug)]
pub struct FolderScores {
    /// The data set's name.
    pub name: String,
    /// Each image's stem and scores, in bytewise order of the masks' names.
    pub images: Vec<(String, PairScores)>,
}

impl FolderScores {
    /// The scores over all images.
    pub fn summary(&self) -> Summary {
        Summary::over(self.images.iter().map(|(_, scores)| scores))
    }
}
