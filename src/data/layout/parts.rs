//! What is known of a data set's files: where images, masks and lists are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::kind::LayoutKind;
use super::name_list::{NameList, Selection};
use super::tree::shown;
use super::vocabulary::Split;
use crate::data::names::StemRule;
use crate::data::pairs::FolderOptions;

/// Where the files of a data set are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How they lie.
    pub kind: LayoutKind,
    /// The folder that they were found in, or the folder of the YAML file.
    pub root: PathBuf,
    /// What is trained on.
    pub training: Option<Part>,
    /// What is validated on.
    pub validation: Option<Part>,
    /// What is tested on: one set, or several (`TestDataset/CAMO`, `TestDataset/COD10K`).
    pub tests: Vec<Part>,
    /// The classes, if a file of the layout names them.
    pub classes: Option<ClassTable>,
    /// The file that names the classes, or describes the whole.
    pub described_by: Option<PathBuf>,
}

/// One set of images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The folder of the images.
    pub images: PathBuf,
    /// Where their labels are.
    pub labels: Labels,
    /// Which of the images belong to the set, if not all do.
    pub names: Option<NameList>,
    /// How a mask is called.
    pub stems: StemRule,
    /// Whether folders in the folder of the images count, too.
    pub recursive: bool,
}

/// Where the labels of a set are, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// A folder of masks, one for each image.
    Masks(PathBuf),
    /// A folder with a folder of masks for each class; see [`class_masks`](super::class_masks::class_masks).
    ClassFolders(PathBuf),
    /// A folder of text files `STEM.txt` with polygons, as Ultralytics documents them.
    Polygons(PathBuf),
    /// A JSON file of COCO.
    Coco(PathBuf),
    /// A JSON file of Labelme beside each image, in the folder of the images.
    Labelme(PathBuf),
}

/// The classes that a file of the layout names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassTable {
    /// Their names; the position is the class's index.
    pub names: Vec<String>,
    /// Values of masks that do not mean the class of that index: the class that they mean, or `None` for pixels that
    /// are ignored.
    pub values: BTreeMap<i64, Option<usize>>,
}

impl Labels {
    /// The folder or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Masks(path) | Self::ClassFolders(path) | Self::Polygons(path) => path,
            Self::Coco(path) | Self::Labelme(path) => path,
        }
    }
}

impl Part {
    pub(super) fn new(images: PathBuf, labels: Labels) -> Self {
        Self { images, labels, names: None, stems: StemRule::default(), recursive: false }
    }

    /// `options` with what this set needs: its names, the suffixes of its masks, folders in folders. A suffix of masks
    /// that is in `options` already stays; what they select stays where the set has no list.
    pub fn options(&self, options: FolderOptions) -> FolderOptions {
        let own = |given: String, own: &String| if given.is_empty() { own.clone() } else { given };
        FolderOptions {
            recursive: options.recursive || self.recursive,
            stems: StemRule {
                image_suffix: own(options.stems.image_suffix, &self.stems.image_suffix),
                mask_suffix: own(options.stems.mask_suffix, &self.stems.mask_suffix),
            },
            selection: self.names.clone().map_or(options.selection, Selection::Only),
            ..options
        }
    }

    /// For people: `train/images, train/masks`.
    pub(super) fn told(&self, root: &Path) -> String {
        let images = shown(&self.images, root);
        if let Labels::Labelme(_) = &self.labels {
            return format!("{images}, JSON files beside the images");
        }
        let mut told = format!("{images}, {}", shown(self.labels.path(), root));
        match &self.labels {
            Labels::ClassFolders(_) => told += " (a folder a class)",
            Labels::Polygons(_) => told += " (polygons)",
            Labels::Masks(_) | Labels::Coco(_) | Labels::Labelme(_) => {}
        }
        if !self.stems.mask_suffix.is_empty() {
            told += &format!(" (masks *{})", self.stems.mask_suffix);
        }
        match &self.names {
            Some(list) => format!("{told}, list {}", shown(Path::new(list.source()), root)),
            None => told,
        }
    }
}

impl Layout {
    pub(super) fn new(kind: LayoutKind, root: &Path) -> Self {
        let root = root.to_owned();
        Self { kind, root, training: None, validation: None, tests: Vec::new(), classes: None, described_by: None }
    }

    /// One layout, or, where two parts are for one set, one for each of them.
    pub(super) fn of_parts(kind: LayoutKind, root: &Path, parts: Vec<(Split, Part)>) -> Vec<Self> {
        let mut layouts: Vec<Self> = Vec::new();
        for (split, part) in parts {
            let is_free = |layout: &&mut Self| match split {
                Split::Training => layout.training.is_none(),
                Split::Validation => layout.validation.is_none(),
                Split::Test => layout.tests.is_empty(),
            };
            match layouts.iter_mut().find(is_free) {
                Some(layout) => layout.place(split, part),
                None => {
                    let mut layout = Self::new(kind, root);
                    layout.place(split, part);
                    layouts.push(layout);
                }
            }
        }
        layouts
    }

    /// Each set with what it is for.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Part)> {
        let training = self.training.iter().map(|part| ("training", part));
        let validation = self.validation.iter().map(|part| ("validation", part));
        training.chain(validation).chain(self.tests.iter().map(|part| ("test", part)))
    }

    /// Itself, if there is a set in it.
    pub(super) fn if_any(self) -> Option<Self> {
        let any = self.training.is_some() || self.validation.is_some() || !self.tests.is_empty();
        any.then_some(self)
    }

    /// What it is, for people: `VOC: JPEGImages, SegmentationClass, lists of ImageSets/Segmentation`.
    pub fn name(&self) -> String {
        let mut name = self.kind.title().to_string();
        if let Some(file) = &self.described_by {
            name += &format!(" ({})", shown(file, &self.root));
        }
        if self.kind == LayoutKind::Voc
            && let Some((_, part)) = self.parts().next()
            && let Some(list) = &part.names
            && let Some(folder) = Path::new(list.source()).parent()
        {
            let [images, masks, lists] = [&part.images, part.labels.path(), folder].map(|path| shown(path, &self.root));
            return format!("{name}: {images}, {masks}, lists of {lists}");
        }
        for (number, (what, part)) in self.parts().enumerate() {
            name += if number == 0 { ": " } else { "; " };
            // the first needs no word where it is what is trained on
            if number > 0 || self.training.is_none() {
                name += &format!("{what} ");
            }
            name += &part.told(&self.root);
        }
        name
    }

    /// Puts a set in its place.
    pub(super) fn place(&mut self, split: Split, part: Part) {
        match split {
            Split::Training => self.training = Some(part),
            Split::Validation => self.validation = Some(part),
            Split::Test => self.tests.push(part),
        }
    }
}
