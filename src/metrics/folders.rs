//! Predictions and masks in folders, paired by stem and scored.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::slice;

use super::class_folders::{ClassFolderScores, ClassesOfSet, ScoredClasses, score_classes_of};
use super::classes::options::OutlineOptions;
use super::classes::pair::ClassPairScores;
use super::each::{Unscored, each};
use super::evaluation_error::{EvaluationError, SizesOfPair};
use super::pair::{PairScores, score_pair};
use super::pairing::{FoundBeside, PairedFiles, PairingOptions, pair_up};
use super::predicted_classes::PredictedClasses;
use super::summary::Summary;
use crate::data::classes::class::ClassKind;
use crate::data::description::describe::Description;
use crate::data::error::DataError;
use crate::data::names::StemRule;
use crate::data::pair_facts::{MaskLevels, PictureFacts};
use crate::data::pixels::Grey;
use crate::data::read::facts::ReadOptions;
use crate::data::read::read_grey_with;
use crate::data::warning::{Warning, image_warnings, mask_warnings};

/// The predictions of a data set and their masks, not read yet: of one class or of several.
#[derive(Clone, Debug)]
pub struct PairedFolders {
    name: String,
    pairs: Pairs,
    found: FoundBeside,
}

#[derive(Clone, Debug)]
enum Pairs {
    /// Soft maps of one class.
    OneClass(Vec<PairedFiles>, ReadOptions),
    /// Hard maps of several classes, or with pixels that are ignored.
    Classes(Box<PredictedClasses>),
}

/// The scores of a data set's predictions.
#[derive(Clone, Debug)]
pub enum ScoredFolders {
    /// Of one class.
    OneClass(FolderScores),
    /// Of several, or of one with pixels that are ignored.
    Classes(ClassFolderScores),
}

impl ScoredFolders {
    /// The data set's name.
    pub fn name(&self) -> &str {
        match self {
            Self::OneClass(scores) => &scores.name,
            Self::Classes(scores) => scores.set.name(),
        }
    }

    /// How its classes go together; `None` for one class whose pixels all count.
    pub fn kind(&self) -> Option<ClassKind> {
        match self {
            Self::OneClass(_) => None,
            Self::Classes(scores) => Some(scores.set.summary().kind()),
        }
    }
}

impl PairedFolders {
    /// Finds each mask's prediction: the image file with the same stem, both of one class. Opens no image.
    ///
    /// # Errors
    ///
    /// As [`Listing::of`](crate::data::Listing::of) for either folder, and where masks have no prediction.
    pub fn open(
        name: impl Into<String>,
        predictions: &Path,
        masks: &Path,
        options: PairingOptions,
    ) -> Result<Self, EvaluationError> {
        let (files, found) = pair_up(predictions, masks, &options)?;
        Ok(Self { name: name.into(), pairs: Pairs::OneClass(files, options.read), found })
    }

    /// Finds the predictions of each mask that is described, or of each image that annotations are of. Predictions stand for their
    /// images: they are of the same names and sizes, and `labels.images` does not count. What the description leaves out, predictions
    /// say, if `predict` wrote them from a model of several classes; where neither speaks of classes, masks are of one class, as for
    /// [`open`](Self::open).
    ///
    /// Of classes that exclude each other a prediction is an index map, `PREDICTIONS/STEM.png`; of classes that may overlap it is a
    /// mask of each class, `PREDICTIONS/CLASS/STEM.png`, or `PREDICTIONS/STEM.png` of only one class. Opens no image, but looks into
    /// the text chunks of up to 64 predictions, until one tells its classes.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and as [`Description::open_one`]; when images lack the prediction of a class; when predictions say
    /// that they are of other classes than the labels.
    pub fn open_described(
        name: impl Into<String>,
        predictions: &Path,
        labels: &Description,
    ) -> Result<Self, EvaluationError> {
        let name = name.into();
        match PredictedClasses::open(predictions, labels)? {
            Some((classes, found)) => Ok(Self { name, pairs: Pairs::Classes(Box::new(classes)), found }),
            None => {
                let Some(masks) = &labels.masks else {
                    let reason = "`masks` or `annotations` are needed: what predictions are scored against";
                    return Err(DataError::Description(reason.to_string()).into());
                };
                let stems = StemRule::with_mask_suffix(labels.mask_suffix.as_deref().unwrap_or_default());
                let options = PairingOptions { recursive: labels.recursive, read: labels.read, stems };
                Self::open(name, predictions, masks, options)
            }
        }
    }

    /// The data set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many pairs there are to score.
    pub fn pairs(&self) -> usize {
        match &self.pairs {
            Pairs::OneClass(files, _) => files.len(),
            Pairs::Classes(classes) => classes.pairs(),
        }
    }

    /// How its classes go together; `None` for one class whose pixels all count.
    pub fn kind(&self) -> Option<ClassKind> {
        match &self.pairs {
            Pairs::OneClass(..) => None,
            Pairs::Classes(classes) => Some(classes.kind()),
        }
    }

    /// What was found beside the pairs.
    pub fn found(&self) -> &FoundBeside {
        &self.found
    }

    /// Reads and scores every pair, on rayon's threads; calls `scored` after each pair. One pair for each thread is in memory at a
    /// time. `outlines` says how the outlines of classes are compared; `None` leaves the scores out that need them.
    ///
    /// # Errors
    ///
    /// When files cannot be read, when sizes differ, or a pair cannot be scored: all files of the first of these kinds.
    pub fn score(
        &self,
        outlines: Option<OutlineOptions>,
        scored: impl Fn() + Sync,
    ) -> Result<ScoredFolders, EvaluationError> {
        self.score_stretch(0..self.pairs(), outlines, scored)?.into_whole(&self.name)
    }

    /// The same of a stretch of the pairs.
    pub(super) fn score_stretch(
        &self,
        stretch: Range<usize>,
        outlines: Option<OutlineOptions>,
        scored: impl Fn() + Sync,
    ) -> Result<ScoredStretch, EvaluationError> {
        match &self.pairs {
            Pairs::OneClass(files, read) => score_all(&files[stretch], read, scored),
            Pairs::Classes(classes) => {
                let ScoredClasses { classes, images, about_predictions, about_masks } =
                    score_classes_of(classes, stretch, outlines, scored)?;
                let images = ScoredImages::Classes(classes, images);
                Ok(ScoredStretch { images, about_predictions, about_masks })
            }
        }
    }

    /// What tells its pairs from those of another set, wherever the folders lie: each image's name, and what its masks are called.
    pub(super) fn pairs_told(&self) -> String {
        let told = |name: &str, masks: &[PathBuf]| {
            let masks = masks.iter().map(|mask| mask.file_name().unwrap_or_default());
            format!("{name:?} {:?}\n", masks.collect::<Vec<_>>())
        };
        match &self.pairs {
            Pairs::OneClass(files, _) => {
                files.iter().map(|pair| told(&pair.name, slice::from_ref(&pair.mask))).collect()
            }
            Pairs::Classes(classes) => {
                let masks = classes.set.pairs().iter().map(|pair| &pair.masks);
                classes.names.iter().zip(masks).map(|(name, masks)| told(name, masks)).collect()
            }
        }
    }

    /// How its files are read.
    pub(super) fn read_options(&self) -> &ReadOptions {
        match &self.pairs {
            Pairs::OneClass(_, read) => read,
            Pairs::Classes(classes) => &classes.set.options().read,
        }
    }

    /// What tells one meaning of the labels from another.
    pub(super) fn labels_told(&self) -> String {
        match &self.pairs {
            Pairs::OneClass(..) => "one class".to_string(),
            Pairs::Classes(classes) => classes.set.reader().told(),
        }
    }
}

/// Some of a set's pairs, scored.
pub(super) struct ScoredStretch {
    pub images: ScoredImages,
    pub about_predictions: Vec<Warning>,
    pub about_masks: Vec<Warning>,
}

/// Each image's stem and scores, of one class or of several.
#[derive(Clone, Debug)]
pub(super) enum ScoredImages {
    OneClass(Vec<(String, PairScores)>),
    Classes(ClassesOfSet, Vec<(String, ClassPairScores)>),
}

impl ScoredStretch {
    /// The scores of the set, of which these must be all pairs.
    pub fn into_whole(self, name: &str) -> Result<ScoredFolders, EvaluationError> {
        let Self { images, about_predictions, mut about_masks } = self;
        Ok(match images {
            ScoredImages::OneClass(images) => {
                let name = name.to_owned();
                ScoredFolders::OneClass(FolderScores { name, images, about_predictions, about_masks })
            }
            ScoredImages::Classes(classes, images) => {
                let (set, warnings) = classes.scores(name, images)?;
                about_masks.extend(warnings);
                ScoredFolders::Classes(ClassFolderScores { set, about_predictions, about_masks })
            }
        })
    }
}

fn score_all(
    pairs: &[PairedFiles],
    options: &ReadOptions,
    scored: impl Fn() + Sync,
) -> Result<ScoredStretch, EvaluationError> {
    let found = each(pairs.len(), pairs.len(), |pair| pairs[pair].score(options), scored)?;
    let (mut images, mut read) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for (files, scored) in pairs.iter().zip(found) {
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
    Ok(ScoredStretch { images: ScoredImages::OneClass(images), about_predictions, about_masks })
}

/// A pair's scores, and what is known of its files.
struct Scored {
    scores: PairScores,
    prediction: PictureFacts,
    mask: PictureFacts,
    levels: MaskLevels,
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
        Err(Unscored::Sizes(vec![SizesOfPair {
            prediction: self.prediction.clone(),
            prediction_size: prediction.size(),
            mask: self.mask.clone(),
            mask_size: mask.size(),
        }]))
    }
}

/// The scores of a data set's predictions of one class.
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
