//! Where a run's images come from, checked before training starts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::note::Note;
use super::settings::demo;
use super::settings::settings::Settings;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::synthetic::Synthetic;

/// There is nothing to train on, or to validate on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} set holds no images")]
pub struct EmptySet(pub &'static str);

/// The training set, and the validation set if there is one.
#[derive(Clone)]
pub struct Sources {
    /// What is trained on.
    pub training: Arc<dyn Dataset>,
    /// What `best` is chosen by.
    pub validation: Option<Arc<dyn Dataset>>,
    /// What is odd about the masks.
    pub notes: Vec<Note>,
    described: String,
}

impl Sources {
    /// Opens the folders of `settings`, decoding every file once on `threads` threads, or generates
    /// scenes where there are no folders.
    ///
    /// # Errors
    /// An empty folder, an image without mask, an image and a mask of different sizes, a file that
    /// cannot be decoded: the first of them, by name.
    pub fn open(settings: &Settings, threads: usize) -> Result<Self, DataError> {
        let (Some(images), Some(masks)) = (&settings.images, &settings.masks) else {
            return Ok(Self::generated(settings));
        };
        let mut notes = Vec::new();
        let training = open_folder(images, masks, threads, &mut notes)?;
        let mut described = format!("{} images from {}", training.len(), images.display());
        let validation = match (&settings.val_images, &settings.val_masks) {
            (Some(images), Some(masks)) => {
                let set = open_folder(images, masks, threads, &mut notes)?;
                described += &format!("; validation on {} images from {}", set.len(), images.display());
                Some(set)
            }
            _ => {
                described += "; nothing is held out (no `val_images`)";
                None
            }
        };
        Ok(Self { notes, training, validation, described })
    }

    /// Whether there is something to train on and, if there is a validation set, to validate on.
    ///
    /// # Errors
    /// When a set holds no images.
    pub(super) fn check_not_empty(&self) -> Result<(), EmptySet> {
        if self.training.is_empty() {
            return Err(EmptySet("training"));
        }
        match &self.validation {
            Some(set) if set.is_empty() => Err(EmptySet("validation")),
            _ => Ok(()),
        }
    }

    fn generated(settings: &Settings) -> Self {
        let (images, val_images) = settings.generated.map_or((0, 0), |sets| (sets.images, sets.val_images));
        let described = format!("{images} generated scenes; validation on {val_images} others (no `images` given)");
        let training = Arc::new(Synthetic::new(demo::TRAINING_SEED, images, settings.size));
        let validation = Arc::new(Synthetic::new(demo::VALIDATION_SEED, val_images, settings.size));
        Self { training, validation: Some(validation), notes: Vec::new(), described }
    }

    /// Sets of one's own.
    pub fn of(training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>) -> Self {
        let described = match &validation {
            Some(set) => format!("{} images; validation on {}", training.len(), set.len()),
            None => format!("{} images; nothing is held out", training.len()),
        };
        Self { training, validation, notes: Vec::new(), described }
    }
}

/// The set; what is odd about its masks goes into `notes`.
fn open_folder(
    images: &Path,
    masks: &Path,
    threads: usize,
    notes: &mut Vec<Note>,
) -> Result<Arc<dyn Dataset>, DataError> {
    let (set, unused) = Folder::open(images, masks)?;
    let dark = set.check(threads)?;
    let folder = masks.to_owned();
    if unused > 0 {
        notes.push(Note::UnusedMasks { count: unused, folder: folder.clone() });
    }
    if dark > 0 {
        notes.push(Note::DarkMasks { count: dark, folder });
    }
    Ok(Arc::new(set))
}

/// One line: how many images from where.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sources").field(&self.described).finish()
    }
}
