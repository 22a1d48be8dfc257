//! Pairs of files: two folders, an image and its mask sharing a stem.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, is_same_shape};
use super::error::{BadFiles, DataError};
use super::listing::Listing;
use super::names::{Matched, common_suffix, match_names};
use super::pixels::{Grey, Rgb};
use super::read::facts::{FileFacts, ReadOptions};
use super::read::{read_grey_with, read_rgb_with};
use super::unused::{Unused, UnusedKind};

/// An image and its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What their file names share: the path in the folder without its last ending, for messages (a name that is no Unicode
    /// has U+FFFD for what is none).
    pub stem: String,
    /// The image's file.
    pub image: PathBuf,
    /// The mask's file.
    pub mask: PathBuf,
}

/// How a [`Folder`] is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Folders in the folders count too; an image and its mask lie in folders of the same name.
    pub recursive: bool,
    /// Masks of another shape than their image are taken, too.
    pub resize_masks: bool,
    /// How files are read.
    pub read: ReadOptions,
}

/// A [`Dataset`] of two folders. A pair is an image and a mask of the same stem, whatever their endings; pairs stand
/// in bytewise order of the images' names.
#[derive(Clone, Debug)]
pub struct Folder {
    pairs: Vec<Pair>,
    options: FolderOptions,
    found: Found,
}

/// What was found in the two folders of a [`Folder`] beside its pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Masks that no image belongs to.
    pub masks_without_image: Vec<PathBuf>,
    /// Images whose mask has a name that differs in case or Unicode's form.
    pub loosely_named: Vec<PathBuf>,
    /// What else lies among the images.
    pub among_images: Unused,
    /// What else lies among the masks.
    pub among_masks: Unused,
}

/// A pair as it was read.
pub(crate) struct ReadPair {
    pub image: Rgb,
    pub image_facts: FileFacts,
    pub mask: Grey,
    pub mask_facts: FileFacts,
}

impl Folder {
    /// Pairs up the files of two folders, with the default options. Opens no file: see [`inspect`](super::inspect()).
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(images: &Path, masks: &Path) -> Result<Self, DataError> {
        Self::open_with(images, masks, FolderOptions::default())
    }

    /// Pairs up the files of two folders. Opens no file: see [`inspect`](super::inspect()).
    ///
    /// # Errors
    ///
    /// As [`Listing::of`] for either folder, when they are one folder, and when images have no mask.
    pub fn open_with(images: &Path, masks: &Path, options: FolderOptions) -> Result<Self, DataError> {
        if let (Ok(a), Ok(b)) = (images.canonicalize(), masks.canonicalize())
            && a == b
        {
            return Err(DataError::OneFolder { path: images.to_owned() });
        }
        let [images, masks] = [Listing::of(images, options.recursive)?, Listing::of(masks, options.recursive)?];
        let (stems, mask_stems) = (images.stems(), masks.stems());
        let Matched { candidates, loose, left } = match_names(&stems, &mask_stems);
        let mut pairs = Vec::with_capacity(stems.len());
        let mut without = Vec::new();
        for ((image, stem), mask) in images.files().iter().zip(&stems).zip(candidates) {
            match mask.map(|at| masks.files()[at].clone()) {
                Some(mask) => {
                    pairs.push(Pair { stem: stem.to_string_lossy().into_owned(), image: image.clone(), mask })
                }
                None => without.push(image.clone()),
            }
        }
        if !without.is_empty() {
            return Err(missing_masks(&images, &masks, without, &stems, &mask_stems));
        }
        let found = Found {
            masks_without_image: left.iter().map(|at| masks.files()[*at].clone()).collect(),
            loosely_named: loose.iter().map(|at| images.files()[*at].clone()).collect(),
            among_images: images.unused().clone(),
            among_masks: masks.unused().clone(),
        };
        Ok(Self { pairs, options, found })
    }

    /// The pairs, in order.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// How its files are read.
    pub fn options(&self) -> FolderOptions {
        self.options
    }

    /// What was found beside the pairs.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The pair `index` and what is known of its files; sizes are not compared.
    pub(crate) fn read(&self, index: usize) -> Result<ReadPair, DataError> {
        let Pair { image, mask, .. } = &self.pairs[index];
        // both are looked at, so that a bad mask is told together with a bad image
        match (read_rgb_with(image, &self.options.read), read_grey_with(mask, &self.options.read)) {
            (Ok((image, image_facts)), Ok((mask, mask_facts))) => Ok(ReadPair { image, image_facts, mask, mask_facts }),
            (Err(image), Err(mask)) => Err(DataError::Bad(BadFiles { of: self.len(), errors: vec![image, mask] })),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Whether the sizes of a pair go together.
    ///
    /// # Errors
    ///
    /// When they do not; the files are named.
    pub(crate) fn check_sizes(
        &self,
        index: usize,
        image: (usize, usize),
        mask: (usize, usize),
        orientation: Option<u8>,
    ) -> Result<(), DataError> {
        if self.options.resize_masks || is_same_shape(image, mask) {
            return Ok(());
        }
        let Pair { image: file, mask: mask_file, .. } = &self.pairs[index];
        // orientations from 5 on swap width and height
        let turned = orientation.filter(|orientation| *orientation >= 5 && is_same_shape((image.1, image.0), mask));
        if let Some(orientation) = turned {
            let (image, mask) = (file.clone(), mask_file.clone());
            return Err(DataError::TurnedImage { image, mask, orientation });
        }
        let name = format!("{} and {}", file.display(), mask_file.display());
        Err(DataError::SizesDiffer { name, image, mask })
    }
}

fn missing_masks(
    images: &Listing,
    masks: &Listing,
    without: Vec<PathBuf>,
    stems: &[OsString],
    mask_stems: &[OsString],
) -> DataError {
    let empty = masks.unused().kinds().find(|(kind, _)| *kind == UnusedKind::ZeroBytes);
    DataError::MissingMask {
        masks: masks.folder().to_owned(),
        images: images.files().len(),
        suffix: common_suffix(stems, mask_stems),
        empty_masks: empty.map_or(0, |(_, paths)| paths.len()),
        without,
    }
}

impl Dataset for Folder {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.pairs[index].stem
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        Ok(read_rgb_with(&self.pairs[index].image, &self.options.read)?.0)
    }

    fn mask(&self, index: usize) -> Result<Grey, DataError> {
        Ok(read_grey_with(&self.pairs[index].mask, &self.options.read)?.0)
    }

    /// Its error names the files.
    fn pair(&self, index: usize) -> Result<(Rgb, Grey), DataError> {
        let ReadPair { image, mask, image_facts, .. } = self.read(index)?;
        let turn = image_facts.orientation.filter(|_| !image_facts.turned);
        self.check_sizes(index, image.size(), mask.size(), turn)?;
        Ok((image, mask))
    }
}
