//! Which prediction belongs to which mask.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::evaluation_error::EvaluationError;
use crate::data::listing::Listing;
use crate::data::names::{StemRule, match_names, name_as_text};
use crate::data::read::facts::ReadOptions;
use crate::data::unused::Unused;

/// How the files of [`PairedFolders`](super::folders::PairedFolders) are found and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairingOptions {
    /// Folders in the folders count too.
    pub recursive: bool,
    /// How files are read.
    pub read: ReadOptions,
    /// What a mask is called: by default as its prediction.
    pub stems: StemRule,
}

/// What was found in the two folders of [`PairedFolders`](super::folders::PairedFolders) beside their pairs.
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

/// A prediction and its mask.
#[derive(Clone, Debug)]
pub(super) struct PairedFiles {
    /// The stem as text that no other stem has.
    pub name: String,
    /// The stem of the prediction.
    pub stem: OsString,
    pub prediction: PathBuf,
    pub mask: PathBuf,
}

/// Finds each mask's prediction: the image file of the same stem, or of the stem that follows from the mask's. Opens no image.
pub(super) fn pair_up(
    predictions: &Path,
    masks: &Path,
    options: &PairingOptions,
) -> Result<(Vec<PairedFiles>, FoundBeside), EvaluationError> {
    let [predictions, masks] = [Listing::of(predictions, options.recursive)?, Listing::of(masks, options.recursive)?];
    // what has not the suffix is no mask
    let named = masks.files().iter().zip(masks.stems());
    let named = named.filter_map(|(mask, stem)| Some((mask, options.stems.image_of(&stem)?)));
    let (files, stems): (Vec<&PathBuf>, Vec<OsString>) = named.unzip();
    if files.is_empty() {
        let (called, of) = (options.stems.to_string(), masks.files().len());
        return Err(EvaluationError::NoneSuffixed { masks: masks.folder().to_owned(), called, of });
    }
    let predicted = predictions.stems();
    let matched = match_names(&stems, &predicted);
    let mut pairs = Vec::with_capacity(stems.len());
    let mut without = Vec::new();
    let at = |prediction: usize| predictions.files()[prediction].clone();
    for ((mask, stem), prediction) in files.into_iter().zip(stems).zip(&matched.candidates) {
        let (mask, name) = (mask.clone(), name_as_text(&stem));
        match *prediction {
            Some(number) => {
                let (stem, prediction) = (predicted[number].clone(), at(number));
                pairs.push(PairedFiles { name, stem, prediction, mask });
            }
            None => without.push(mask),
        }
    }
    if !without.is_empty() {
        let (predictions, masks) = (predictions.folder().to_owned(), pairs.len() + without.len());
        return Err(EvaluationError::MissingPrediction { without, predictions, masks });
    }
    let found = FoundBeside {
        without_mask: predictions_among(&matched.left, &predicted).map(at).collect(),
        loosely_named: matched.loose.iter().map(|index| pairs[*index].prediction.clone()).collect(),
        among_predictions: predictions.unused().clone(),
        among_masks: masks.unused().clone(),
    };
    Ok((pairs, found))
}

/// What `predict` writes beside a mask has this behind its stem.
pub(super) const BESIDE: [&[u8]; 2] = [b".overlay", b".probability"];

/// Those of the stems `left` that are not what `predict` calls another one's overlay or probability.
pub(super) fn predictions_among(left: &[usize], stems: &[OsString]) -> impl Iterator<Item = usize> {
    let all: HashSet<&[u8]> = stems.iter().map(|stem| stem.as_encoded_bytes()).collect();
    let is_beside = move |at: &usize| {
        let name = stems[*at].as_encoded_bytes();
        BESIDE.iter().filter_map(|end| name.strip_suffix(*end)).any(|stem| all.contains(stem))
    };
    left.iter().copied().filter(move |at| !is_beside(at))
}
