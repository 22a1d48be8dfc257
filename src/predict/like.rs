//! The masks whose sizes predictions take.

use super::error::PredictError;
use super::images::Images;
use crate::data::listing::Listing;
use crate::data::names::{Matched, common_suffix, match_names};
use crate::data::unused::Unused;
use std::path::{Path, PathBuf};

/// A mask for each image, found by name; predictions are written at the masks' sizes.
#[derive(Clone, Debug)]
pub struct Like {
    folder: PathBuf,
    masks: Vec<PathBuf>,
    loosely_named: Vec<PathBuf>,
    unused: Unused,
}

impl Like {
    /// Finds the mask of each image in a folder: the image file of the same stem, whatever its ending; with
    /// `recursive`, of the same path in the folder. Opens no file.
    ///
    /// # Errors
    /// As [`Listing::of`], and when images have no mask.
    pub fn of(images: &Images, masks: &Path, recursive: bool) -> Result<Self, PredictError> {
        let listing = Listing::of(masks, recursive)?;
        let stems = listing.stems();
        let Matched { candidates, loose, .. } = match_names(images.stems(), &stems);
        let (mut found, mut without) = (Vec::with_capacity(candidates.len()), Vec::new());
        for (image, mask) in images.files().iter().zip(candidates) {
            match mask {
                Some(at) => found.push(listing.files()[at].clone()),
                None => without.push(image.clone()),
            }
        }
        if !without.is_empty() {
            let suffix = common_suffix(images.stems(), &stems);
            let (masks, images) = (masks.to_path_buf(), images.files().len());
            return Err(PredictError::NoMask { without, masks, images, suffix });
        }
        let loosely_named = loose.iter().map(|at| images.files()[*at].clone()).collect();
        Ok(Self { folder: masks.to_path_buf(), masks: found, loosely_named, unused: listing.unused().clone() })
    }

    /// The folder of the masks.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The masks, in the order of the images.
    pub fn masks(&self) -> &[PathBuf] {
        &self.masks
    }

    /// Images whose mask has a name that differs in case or Unicode's form.
    pub fn loosely_named(&self) -> &[PathBuf] {
        &self.loosely_named
    }

    /// What else lies in the folder of the masks.
    pub fn unused(&self) -> &Unused {
        &self.unused
    }
}
