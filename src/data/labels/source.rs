//! Where the labels of a folder of images stand, and what they mean.

use std::path::PathBuf;
use std::sync::Arc;

use crate::data::annotations::coco::file::Coco;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::values::ValueTable;
use crate::data::layout::class_masks::ClassNaming;

/// Where the labels of a folder of images stand, and what they mean.
#[derive(Clone, Debug)]
pub enum LabelSource {
    /// A folder with a mask of one class for each image: white is foreground, greys between are kept.
    Masks(PathBuf),
    /// A folder with a mask for each image, whose values mean classes that exclude each other, or one class and pixels that are
    /// ignored.
    Values {
        /// The folder.
        masks: PathBuf,
        /// What the values mean.
        table: ValueTable,
        /// The classes; `None` where the values tell ([`Folder::set_classes`](crate::data::Folder::set_classes)).
        classes: Option<Classes>,
    },
    /// A folder with masks of classes that may overlap.
    ClassMasks {
        /// The folder.
        masks: PathBuf,
        /// What tells the class of a mask.
        naming: ClassNaming,
        /// The classes; `None`: those of which there are masks.
        classes: Option<Vec<String>>,
        /// Whether a class of which there is no mask is an error.
        all: bool,
    },
    /// A COCO file, which was read.
    Coco {
        /// It.
        file: Arc<Coco>,
        /// How classes go together.
        kind: ClassKind,
    },
    /// A Labelme file for each image that has one.
    Labelme {
        /// Their folder; `None`: they lie beside the images.
        folder: Option<PathBuf>,
        /// The classes; `None`: those that are found.
        classes: Option<Vec<String>>,
        /// How classes go together.
        kind: ClassKind,
    },
    /// A text file of polygons for each image that has one.
    Polygons {
        /// Their folder.
        folder: PathBuf,
        /// The classes, by their numbers in the files.
        classes: Vec<String>,
        /// How classes go together.
        kind: ClassKind,
    },
}
