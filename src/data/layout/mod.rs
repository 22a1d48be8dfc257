//! Where the files of a data set are: [`find_layout`] looks at a folder's names, and says which of the usual layouts it has.
//!
//! | layout | what it is known by | sets | source |
//! |---|---|---|---|
//! | folders | `images` beside `masks`, or names that mean the same (`Imgs`, `GT`, `labels`, ...) | all is trained on | [Kvasir-SEG](https://datasets.simula.no/kvasir-seg/) |
//! | | the same in folders `train`, `val`, `test` (`TrainDataset`, `valid`, ...) | as they are called | [PraNet](https://github.com/DengPingFan/PraNet), [COD10K and CAMO](https://github.com/DengPingFan/SINet) |
//! | | `images/train`, `masks/train` | as they are called | [ADE20K](https://sceneparsing.csail.mit.edu/) |
//! | | `DUTS-TR/DUTS-TR-Image`, `DUTS-TR/DUTS-TR-Mask` | TR is trained, TE tested on | [DUTS](http://saliencydetection.net/duts/) |
//! | VOC | `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/*.txt` | the lists `train`, `val`, `test` | [VOC 2012](http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/) |
//! | nnU-Net | `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, `dataset.json` | `Tr` is trained, `Ts` tested on | [nnU-Net](https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md) |
//! | Cityscapes | `leftImg8bit/train/CITY`, `gtFine/train/CITY` | `train`, `val` | [cityscapesScripts](https://github.com/mcordts/cityscapesScripts) |
//! | Ultralytics | a YAML file with `train`, `val`, `names`, and `masks_dir` or polygons in `labels` | as it says | [Ultralytics](https://docs.ultralytics.com/datasets/semantic) |
//! | COCO | `annotations/instances_train2017.json`; `train/_annotations.coco.json` | as they are called | [COCO](https://cocodataset.org/#format-data) |
//!
//! Names are read as words, in any case (`src/data/layout/vocabulary.rs` lists them). A folder counts only if there are image files in it. Links count
//! as what they lead to. A layout with files of its own (VOC, nnU-Net, Cityscapes, Ultralytics, COCO) counts more than the names of the
//! same folders; two layouts that differ in the masks they name are an error.
//!
//! Which images are used, and what their masks are called:
//!
//! - [`NameList`] is a text file of names, and [`Selection`] what it is used for;
//! - [`hold_out`] chooses a share by name and seed;
//! - [`StemRule`](super::names::StemRule) says how a mask is called;
//! - [`class_masks`] finds masks of classes that may overlap, in folders or by suffixes.

mod cityscapes;
pub(crate) mod class_masks;
mod coco;
pub(crate) mod error;
pub(crate) mod find;
mod folders;
pub(crate) mod held_out;
pub(crate) mod kind;
pub(crate) mod list_error;
pub(crate) mod name_list;
mod nn_unet;
pub(crate) mod parts;
mod tree;
mod ultralytics;
mod voc;
mod vocabulary;
mod yaml;

pub use class_masks::{ClassMasks, ClassNaming, IGNORE, class_masks};
pub use error::LayoutError;
pub use find::find_layout;
pub use held_out::hold_out;
pub use kind::LayoutKind;
pub use list_error::NameListError;
pub use name_list::{NameList, Selection};
pub use parts::{ClassTable, Labels, Layout, Part};
