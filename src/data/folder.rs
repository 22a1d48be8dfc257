//! A set in files: images, and what is true of their pixels.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::class::{ClassKind, Classes};
use super::classes::values::PixelValue;
use super::dataset::{Dataset, is_same_shape, turned};
use super::error::{BadFiles, DataError};
use super::labels::pairing::{Paired, pair_up};
use super::labels::reader::{LabelReader, ReadLabels};
use super::labels::source::LabelSource;
use super::pairs::{FolderOptions, Found, Pair};
use super::pixels::Rgb;
use super::read::facts::{FileFacts, MaskColours};
use super::read::read_rgb_with;
use super::size::picture_size;
use super::truth::Truth;

/// A [`Dataset`] of a folder of images, and of masks or annotations. Pairs stand in bytewise order of the images' names.
///
/// A mask belongs to the image of the same stem (or of the stem that [`StemRule`](super::names::StemRule) makes of it), whatever
/// their endings.
#[derive(Clone, Debug)]
pub struct Folder {
    pairs: Vec<Pair>,
    reader: LabelReader,
    options: FolderOptions,
    found: Found,
}

/// A pair as it was read.
pub(crate) struct ReadPair {
    pub image: Rgb,
    pub image_facts: FileFacts,
    pub truth: Truth,
    /// Size and facts of each mask.
    pub masks: Vec<((usize, usize), FileFacts)>,
    /// Pixels of each value, where values mean classes.
    pub values: BTreeMap<PixelValue, u64>,
    /// The colours of each mask of one class.
    pub colours: Vec<Option<MaskColours>>,
}

impl Folder {
    /// Pairs up the files of two folders, images and masks of one class, with the default options. Opens no file: see
    /// [`inspect`](super::inspect()).
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(images: &Path, masks: &Path) -> Result<Self, DataError> {
        Self::open_with(images, masks, FolderOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As [`Listing::of`](super::listing::Listing::of) for either folder, as
    /// [`Selection::of`](super::layout::name_list::Selection::of), when they are one folder, and when images have no mask.
    pub fn open_with(images: &Path, masks: &Path, options: FolderOptions) -> Result<Self, DataError> {
        Self::open_labelled(images, &LabelSource::Masks(masks.to_owned()), options)
    }

    /// Pairs up the images of a folder with their labels, whatever form these have. Opens no picture: see
    /// [`inspect`](super::inspect()). Annotations are read.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with); as [`class_masks`](super::layout::class_masks()); when annotations cannot be read, or list
    /// none of the images.
    pub fn open_labelled(images: &Path, labels: &LabelSource, options: FolderOptions) -> Result<Self, DataError> {
        let Paired { pairs, reader, found } = pair_up(images, labels, &options)?;
        Ok(Self { pairs, reader, options, found })
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

    /// How its labels are read.
    pub(crate) fn reader(&self) -> &LabelReader {
        &self.reader
    }

    /// Gives its classes names and colours; where nobody knows them yet, says what they are.
    ///
    /// # Errors
    ///
    /// When the set has classes of another kind or number, or one without a name.
    pub fn set_classes(&mut self, classes: Classes) -> Result<(), DataError> {
        let fits = match self.reader.classes() {
            Some(own) => (own.kind, own.len()) == (classes.kind, classes.len()),
            None => self.has_unnamed_classes() && classes.kind == ClassKind::Exclusive,
        };
        if !fits {
            let own = self.reader.classes().map_or("one class without a name".to_string(), Classes::told);
            return Err(DataError::Description(format!("the set has {own}; it cannot have {}", classes.told())));
        }
        self.reader.set_classes(classes);
        Ok(())
    }

    /// Whether values of masks are numbers of classes that nobody named yet.
    pub fn has_unnamed_classes(&self) -> bool {
        matches!(self.reader, LabelReader::Values { classes: None, .. })
    }

    /// The pair `index` and what is known of its files; sizes are not compared.
    pub(crate) fn read(&self, index: usize) -> Result<ReadPair, DataError> {
        let Pair { image, masks, .. } = &self.pairs[index];
        let image = match read_rgb_with(image, &self.options.read) {
            // shapes are painted at its size
            Err(error) if self.reader.annotated().is_some() => return Err(error),
            image => image,
        };
        let size = image.as_ref().ok().map(|(image, _)| image.size());
        // where only the image tells the size, one that cannot be read is told once
        let size = || size.map_or_else(|| picture_size(&self.pairs[index].image, &self.options.read), Ok);
        // both are looked at, so that a bad mask is told together with a bad image
        match (image, self.reader.read(index, masks, size, &self.options.read)) {
            (Ok((image, image_facts)), Ok(ReadLabels { truth, files: masks, values, colours })) => {
                Ok(ReadPair { image, image_facts, truth, masks, values, colours })
            }
            (Err(image), Err(labels)) if !masks.is_empty() => {
                let mut errors = vec![image];
                errors.extend(labels.each());
                Err(DataError::Bad(BadFiles { of: self.len(), errors }))
            }
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
        mask_facts: Option<&FileFacts>,
    ) -> Result<(), DataError> {
        if self.options.resize_masks || is_same_shape(image, mask) {
            return Ok(());
        }
        let pair = &self.pairs[index];
        let shown = pair.shown();
        if let Some(error) = turned((&pair.image, image, facts), (shown, mask, mask_facts)) {
            return Err(error);
        }
        let name = format!("{} and {}", pair.image.display(), pair.shown().display());
        Err(DataError::SizesDiffer { name, image, mask })
    }
}

impl Dataset for Folder {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.pairs[index].stem
    }

    fn classes(&self) -> Option<&Classes> {
        self.reader.classes()
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        Ok(read_rgb_with(&self.pairs[index].image, &self.options.read)?.0)
    }

    fn truth(&self, index: usize) -> Result<Truth, DataError> {
        let Pair { image, masks, .. } = &self.pairs[index];
        let size = || picture_size(image, &self.options.read);
        Ok(self.reader.read(index, masks, size, &self.options.read)?.truth)
    }

    /// Its error names the files.
    fn pair(&self, index: usize) -> Result<(Rgb, Truth), DataError> {
        let ReadPair { image, truth, image_facts, masks, .. } = self.read(index)?;
        let mask_facts = masks.first().map(|(_, facts)| facts);
        self.check_sizes(index, image.size(), truth.size(), &image_facts, mask_facts)?;
        Ok((image, truth))
    }
}
