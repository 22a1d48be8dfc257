//! Images and the files of their labels.

use std::path::{Path, PathBuf};

use super::layout::name_list::Selection;
use super::names::StemRule;
use super::read::facts::ReadOptions;
use super::unused::Unused;

/// An image and the files of its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What their file names share: the path in the folder without its last ending, for messages (a name that is no Unicode
    /// has U+FFFD for what is none).
    pub stem: String,
    /// The image's file.
    pub image: PathBuf,
    /// The files of its labels: a mask, a mask for each class that it shows, or a file of annotations. None where it shows nothing.
    pub masks: Vec<PathBuf>,
}

impl Pair {
    /// What stands for its labels in messages: the first of their files, or the image.
    pub fn shown(&self) -> &Path {
        self.masks.first().unwrap_or(&self.image)
    }
}

/// How a [`Folder`](super::folder::Folder) is read.
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

/// What was found in the folders of a [`Folder`](super::folder::Folder) beside its pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Masks that no image belongs to. Images that are there but not used have their masks.
    pub masks_without_image: Vec<PathBuf>,
    /// Pictures among the masks that have not the suffix that masks have.
    pub masks_without_suffix: Vec<PathBuf>,
    /// Images whose mask has a name that differs in case or Unicode's form.
    pub loosely_named: Vec<PathBuf>,
    /// Images that no mask or annotation is of: they count as showing nothing of any class.
    pub unlabelled: Vec<PathBuf>,
    /// Images that the file of annotations does not list: they are not used.
    pub not_listed: Vec<PathBuf>,
    /// Classes of which there are masks, but which were not asked for.
    pub other_classes: Vec<String>,
    /// What else lies among the images.
    pub among_images: Unused,
    /// What else lies among the masks.
    pub among_masks: Unused,
}
