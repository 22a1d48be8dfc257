//! Pairs of files: two folders, an image and its mask sharing a stem.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, is_same_shape};
use super::error::{BadFiles, DataError};
use super::layout::name_list::Selection;
use super::listing::Listing;
use super::names::{Matched, StemRule, common_suffix, match_names};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Folders in the folders count too; an image and its mask lie in folders of the same name.
    pub recursive: bool,
    /// Masks of another shape than their image are taken, too.
    pub resize_masks: bool,
    /// How files are read.
    pub read: ReadOptions,
    /// What a mask is called: by default as its image.
    pub stems: StemRule,
    /// Which of the images are used.
    pub selection: Selection,
}

/// A [`Dataset`] of two folders. A pair is an image and a mask of the same stem (or of the stem that [`StemRule`] makes
/// of it), whatever their endings; pairs stand in bytewise order of the images' names.
#[derive(Clone, Debug)]
pub struct Folder {
    pairs: Vec<Pair>,
    options: FolderOptions,
    found: Found,
}

/// What was found in the two folders of a [`Folder`] beside its pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Masks that no image belongs to. Images that are there but not used have their masks.
    pub masks_without_image: Vec<PathBuf>,
    /// Pictures among the masks that have not the suffix that masks have.
    pub masks_without_suffix: Vec<PathBuf>,
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
    /// As [`Listing::of`] for either folder, as [`Selection::of`], when they are one folder, and when images have no
    /// mask.
    pub fn open_with(images: &Path, masks: &Path, options: FolderOptions) -> Result<Self, DataError> {
        if let (Ok(a), Ok(b)) = (images.canonicalize(), masks.canonicalize())
            && a == b
        {
            return Err(DataError::OneFolder { path: images.to_owned() });
        }
        let [images, masks] = [Listing::of(images, options.recursive)?, Listing::of(masks, options.recursive)?];
        let (stems, mask_stems) = (images.stems(), masks.stems());
        let used = options.selection.of(&images)?;
        // all images are matched, used or not: a mask of an image that is not used is not one without an image
        let (with_name, wanted): (Vec<usize>, Vec<OsString>) =
            (0..).zip(&stems).filter_map(|(at, stem)| Some((at, options.stems.mask_of(stem)?))).unzip();
        let Matched { candidates, loose, left } = match_names(&wanted, &mask_stems);
        let mask_of: HashMap<usize, usize> =
            with_name.iter().zip(candidates).filter_map(|(image, mask)| Some((*image, mask?))).collect();
        let mut pairs = Vec::with_capacity(used.len());
        let mut without = Vec::new();
        for at in &used {
            let (image, stem) = (&images.files()[*at], &stems[*at]);
            match mask_of.get(at).map(|mask| masks.files()[*mask].clone()) {
                Some(mask) => {
                    pairs.push(Pair { stem: stem.to_string_lossy().into_owned(), image: image.clone(), mask })
                }
                None => without.push(image.clone()),
            }
        }
        if !without.is_empty() {
            let stems: Vec<OsString> = used.iter().map(|at| stems[*at].clone()).collect();
            return Err(missing_masks(&masks, without, &options.stems, &stems, &mask_stems));
        }
        let (masks_without_image, masks_without_suffix): (Vec<usize>, Vec<usize>) =
            left.into_iter().partition(|at| options.stems.is_mask(&mask_stems[*at]));
        let loose = loose.iter().map(|at| with_name[*at]).filter(|at| used.binary_search(at).is_ok());
        let files = |of: Vec<usize>| of.iter().map(|at| masks.files()[*at].clone()).collect();
        let found = Found {
            masks_without_image: files(masks_without_image),
            masks_without_suffix: files(masks_without_suffix),
            loosely_named: loose.map(|at| images.files()[at].clone()).collect(),
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
    pub fn options(&self) -> &FolderOptions {
        &self.options
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
        facts: &FileFacts,
    ) -> Result<(), DataError> {
        if self.options.resize_masks || is_same_shape(image, mask) {
            return Ok(());
        }
        let Pair { image: file, mask: mask_file, .. } = &self.pairs[index];
        // orientations from 5 on swap width and height
        let swaps = |orientation: &u8| *orientation >= 5 && is_same_shape((image.1, image.0), mask);
        if let Some(orientation) = facts.orientation.filter(swaps) {
            let (image, mask, applied) = (file.clone(), mask_file.clone(), facts.turned);
            return Err(DataError::TurnedImage { image, mask, orientation, applied });
        }
        let name = format!("{} and {}", file.display(), mask_file.display());
        Err(DataError::SizesDiffer { name, image, mask })
    }
}

fn missing_masks(
    masks: &Listing,
    without: Vec<PathBuf>,
    rule: &StemRule,
    stems: &[OsString],
    mask_stems: &[OsString],
) -> DataError {
    let empty = masks.unused().kinds().find(|(kind, _)| *kind == UnusedKind::ZeroBytes);
    // a suffix explains what is missing only where nothing fits without
    let none_fits = without.len() == stems.len();
    DataError::MissingMask {
        masks: masks.folder().into(),
        images: stems.len(),
        called: rule.to_string().into(),
        suffix: none_fits.then(|| common_suffix(stems, mask_stems)).flatten().map(String::into_boxed_str),
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
        self.check_sizes(index, image.size(), mask.size(), &image_facts)?;
        Ok((image, mask))
    }
}
