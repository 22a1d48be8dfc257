//! The forms in which labels come.

use crate::choice::choice;

choice! {
    /// The form in which the labels of a set come.
    pub enum LabelKind: "kind of labels" {
        /// A mask for each image, of one class: white is foreground.
        Binary = "binary",
        /// A mask for each image, whose values are the numbers of classes.
        Index = "index",
        /// A mask for each image, whose values or colours mean classes by a table.
        Table = "table",
        /// A folder of masks for each class.
        Folders = "folders",
        /// A mask for each image and class, told by the end of its name.
        Suffixes = "suffixes",
        /// A JSON file of COCO for all images.
        Coco = "coco",
        /// A JSON file of Labelme for each image.
        Labelme = "labelme",
        /// A text file of polygons for each image, as Ultralytics documents it.
        Polygons = "polygons",
    }
}

impl LabelKind {
    /// What people call it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Binary => "masks of one class",
            Self::Index => "masks whose values are numbers of classes",
            Self::Table => "masks whose values mean classes by a table",
            Self::Folders => "a folder of masks for each class",
            Self::Suffixes => "a mask for each class, by the end of its name",
            Self::Coco => "COCO annotations",
            Self::Labelme => "Labelme annotations",
            Self::Polygons => "Ultralytics' polygons",
        }
    }
}
