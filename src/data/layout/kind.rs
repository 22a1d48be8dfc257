//! The layouts of data sets that are known.

use crate::choice::choice;

choice! {
    /// How a data set's files lie. The module's page describes each.
    pub enum LayoutKind: "layout" {
        /// Folders of images and folders of masks.
        Folders = "folders",
        /// PASCAL VOC.
        Voc = "voc",
        /// nnU-Net, pictures of two dimensions.
        NnUnet = "nn-unet",
        /// Cityscapes.
        Cityscapes = "cityscapes",
        /// A YAML file as Ultralytics documents it.
        Ultralytics = "ultralytics",
        /// Images with JSON files of COCO.
        Coco = "coco",
        /// Images with a JSON file of Labelme beside each.
        Labelme = "labelme",
    }
}

impl LayoutKind {
    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::Voc => "VOC",
            Self::NnUnet => "nnU-Net",
            Self::Cityscapes => "Cityscapes",
            Self::Ultralytics => "Ultralytics",
            Self::Coco => "COCO",
            Self::Labelme => "Labelme",
        }
    }

    /// What is looked for, for messages.
    pub(super) fn looked_for(self) -> &'static str {
        match self {
            Self::Folders => {
                "a folder of images beside one of masks (images and masks, Imgs and GT, DUTS-TR-Image and \
                 DUTS-TR-Mask, ...), with folders train, val and test above or below them"
            }
            Self::Voc => "VOC (JPEGImages, SegmentationClass and ImageSets/Segmentation)",
            Self::NnUnet => "nnU-Net (imagesTr and labelsTr)",
            Self::Cityscapes => "Cityscapes (leftImg8bit and gtFine)",
            Self::Ultralytics => "a YAML file with the keys train, val and names",
            Self::Coco => "COCO (annotations/*.json, or _annotations.coco.json beside the images)",
            Self::Labelme => "Labelme (a JSON file beside each image, of the same stem)",
        }
    }
}
