//! The labels whose sizes predictions take.

use super::error::PredictError;
use super::images::Images;
use crate::data::description::describe::Description;
use crate::data::labels::kind::LabelKind;
use crate::data::listing::Listing;
use crate::data::names::{Matched, common_suffix, match_names};
use crate::data::unused::Unused;
use crate::files::folder::parent;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A mask for each image, or labels of another form; predictions are written at their sizes.
#[derive(Clone, Debug)]
pub struct Like {
    folder: PathBuf,
    masks: Vec<Option<PathBuf>>,
    files: Vec<PathBuf>,
    /// Whether these are masks, among which no prediction may lie.
    are_masks: bool,
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
                Some(at) => found.push(Some(listing.files()[at].clone())),
                None => without.push(image.clone()),
            }
        }
        if !without.is_empty() {
            let suffix = common_suffix(images.stems(), &stems);
            let (masks, images) = (masks.to_path_buf(), images.files().len());
            return Err(PredictError::NoMask { without, masks, images, suffix });
        }
        Ok(Self {
            folder: masks.to_path_buf(),
            files: found.iter().flatten().cloned().collect(),
            masks: found,
            are_masks: true,
            loosely_named: loose.iter().map(|at| images.files()[*at].clone()).collect(),
            unused: listing.unused().clone(),
        })
    }

    /// Finds the labels of the images of a folder, in the form that is described: a mask for each image, or one for each class, all
    /// of one size. What has no mask, as it shows no class or its labels are annotations, takes the image's size. Opens no picture.
    ///
    /// # Errors
    /// As [`Description::open_one`], and when the images are no folder's.
    pub fn described(images: &Images, description: &Description) -> Result<Self, PredictError> {
        let folder = images.folder().ok_or(PredictError::LabelsOfNoFolder)?;
        let described =
            Description { images: Some(folder.to_owned()), recursive: images.is_recursive(), ..description.clone() };
        let (set, kind) = described.open_one()?;
        let are_masks = !matches!(kind, LabelKind::Coco | LabelKind::Labelme | LabelKind::Polygons);
        let masks = set.pairs().iter().filter(|_| are_masks);
        let masks: HashMap<&Path, &PathBuf> =
            masks.filter_map(|pair| Some((&*pair.image, pair.masks.first()?))).collect();
        let mut files: Vec<PathBuf> = set.pairs().iter().flat_map(|pair| pair.masks.iter().cloned()).collect();
        // one file of annotations is of many images
        files.dedup();
        Ok(Self {
            folder: description
                .masks
                .as_ref()
                .or(description.annotations.as_ref())
                .map_or(folder, |path| path)
                .to_owned(),
            masks: images.files().iter().map(|image| masks.get(&**image).map(|mask| (*mask).clone())).collect(),
            files,
            are_masks,
            loosely_named: set.found().loosely_named.clone(),
            unused: set.found().among_masks.clone(),
        })
    }

    /// The folder of the masks, or the annotations.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The masks, in the order of the images. An image without one has the size that is wanted.
    pub fn masks(&self) -> &[Option<PathBuf>] {
        &self.masks
    }

    /// All files of the labels, of every class.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The folders of masks: what is written there would be a mask the next time.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        let of_files = self.files.iter().map(|file| parent(file));
        of_files.chain([&*self.folder]).filter(|_| self.are_masks)
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
