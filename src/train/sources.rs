//! Where a run's images come from, checked before training starts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::settings::demo;
use super::settings::settings::Settings;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::synthetic::Synthetic;

/// The training set, and the validation set if there is one.
#[derive(Clone)]
pub struct Sources {
    /// What is trained on.
    pub training: Arc<dyn Dataset>,
    /// What `best` is chosen by.
    pub validation: Option<Arc<dyn Dataset>>,
    /// Training masks that no image belongs to; they are not used.
    pub unused_masks: usize,
    /// The same of the validation set.
    pub unused_validation_masks: usize,
    /// Training masks in which nothing counts as foreground, though they are not black.
    pub dark_masks: usize,
    /// The same of the validation set.
    pub dark_validation_masks: usize,
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
        let (training, unused_masks, dark_masks) = open_folder(images, masks, threads)?;
        let mut described = format!("{} images from {}", training.len(), images.display());
        let (validation, unused_validation_masks, dark_validation_masks) =
            match (&settings.val_images, &settings.val_masks) {
                (Some(images), Some(masks)) => {
                    let (set, unused, dark) = open_folder(images, masks, threads)?;
                    described += &format!("; validation on {} images from {}", set.len(), images.display());
                    (Some(set), unused, dark)
                }
                _ => {
                    described += "; nothing is held out (no `val_images`)";
                    (None, 0, 0)
                }
            };
        Ok(Self {
            unused_masks,
            unused_validation_masks,
            dark_masks,
            dark_validation_masks,
            ..Self::described(training, validation, described)
        })
    }

    fn generated(settings: &Settings) -> Self {
        let (images, val_images) = settings.generated.map_or((0, 0), |sets| (sets.images, sets.val_images));
        let described = format!("{images} generated scenes; validation on {val_images} others (no `images` given)");
        let training = Arc::new(Synthetic::new(demo::TRAINING_SEED, images, settings.size));
        let validation = Arc::new(Synthetic::new(demo::VALIDATION_SEED, val_images, settings.size));
        Self::described(training, Some(validation), described)
    }

    fn described(training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>, described: String) -> Self {
        Self {
            training,
            validation,
            unused_masks: 0,
            unused_validation_masks: 0,
            dark_masks: 0,
            dark_validation_masks: 0,
            described,
        }
    }

    /// Sets of one's own.
    pub fn of(training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>) -> Self {
        let described = format!("{} images", training.len());
        Self::described(training, validation, described)
    }
}

/// The set, the number of masks that are not used, and of those without foreground.
fn open_folder(images: &Path, masks: &Path, threads: usize) -> Result<(Arc<dyn Dataset>, usize, usize), DataError> {
    let (folder, unused) = Folder::open(images, masks)?;
    let dark = folder.check(threads)?;
    Ok((Arc::new(folder), unused, dark))
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
