//! Where the files of a data set are: [`find_layout`] looks at a folder's names, and says which of the usual layouts it
//! has.
//!
//! - **Folders**: `images` beside `masks`, or names that mean the same (`Imgs` and `GT`, `JPEGImages` and `labels`,
//!   ...), as [Kvasir-SEG] and most sets have it. All is trained on, unless
//!   - they lie in folders `train`, `val`, `test` (`TrainDataset`, `valid`, ...), as [PraNet] packs polyps, and [SINet]
//!     packs CAMO and COD10K; several sets in `test` are several to test on;
//!   - both have folders `train`, `val`, `test` (`images/train`, `masks/train`), as [ADE20K] has;
//!   - their names say more: `DUTS-TR-Image` and `DUTS-TR-Mask` of [DUTS] are trained on, those with `TE` tested on.
//! - **VOC**: `JPEGImages`, `SegmentationClass`, and the lists `train.txt`, `val.txt`, `test.txt` of
//!   `ImageSets/Segmentation`; see [VOC 2012].
//! - **nnU-Net**, pictures of two dimensions: `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, and the classes of
//!   `dataset.json`; see [nnU-Net]. Several channels are refused.
//! - **Cityscapes**: `leftImg8bit/train/CITY/X_leftImg8bit.png` with `gtFine/train/CITY/X_gtFine_labelTrainIds.png`, or
//!   `..._labelIds.png` where there are none of the first; see [cityscapesScripts].
//! - **Ultralytics**: a YAML file with the keys `train`, `val`, `names`, and `masks_dir`, without which the labels are
//!   text files with polygons; see [Ultralytics].
//! - **COCO**: `annotations/instances_train2017.json` with images in `train2017` (or `images/train`, or `images`);
//!   `train/_annotations.coco.json` beside the images, as Roboflow writes it; see [COCO].
//! - **Labelme**: `a.jpg` with `a.json` beside it, in the folder itself, in one of images, or in folders `train`, `val`, `test`;
//!   see [Labelme].
//!
//! [Kvasir-SEG]: https://datasets.simula.no/kvasir-seg/
//! [PraNet]: https://github.com/DengPingFan/PraNet
//! [SINet]: https://github.com/DengPingFan/SINet
//! [ADE20K]: https://sceneparsing.csail.mit.edu/
//! [DUTS]: http://saliencydetection.net/duts/
//! [VOC 2012]: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/
//! [nnU-Net]: https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
//! [cityscapesScripts]: https://github.com/mcordts/cityscapesScripts
//! [Ultralytics]: https://docs.ultralytics.com/datasets/semantic
//! [Labelme]: https://github.com/wkentaro/labelme
//! [COCO]: https://cocodataset.org/#format-data
//!
//! Names are read as words, in any case (`src/data/layout/vocabulary.rs` lists them). A folder counts only if there are
//! image files in it. Links count as what they lead to. A layout with files of its own (VOC, nnU-Net, Cityscapes,
//! Ultralytics, COCO, Labelme) counts more than the names of the same folders; two layouts that differ in the masks they name
//! are an error.
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
mod labelme;
pub(crate) mod list_error;
pub(crate) mod name_list;
mod nn_unet;
pub(crate) mod parts;
pub(crate) mod tree;
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
