//! A data set as people describe it.

use std::path::PathBuf;

use super::classes::GivenClasses;
use crate::data::classes::values::PixelValue;
use crate::data::labels::kind::LabelKind;
use crate::data::read::facts::ReadOptions;

/// A data set as people describe it: by its folder, or by folders of images and labels. What is not said is found
/// ([`open`](Self::open)).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// A folder with one of the usual layouts ([`layout`](crate::data::layout)), or the YAML file of one.
    pub root: Option<PathBuf>,
    /// The folder of the images, without `root`.
    pub images: Option<PathBuf>,
    /// The folder of their masks.
    pub masks: Option<PathBuf>,
    /// The folder of the validation images.
    pub val_images: Option<PathBuf>,
    /// The folder of their masks.
    pub val_masks: Option<PathBuf>,
    /// The share of the images that is held out for validation, chosen by name and seed.
    pub val_fraction: Option<f64>,
    /// A list of the names of the images to train on.
    pub train_list: Option<PathBuf>,
    /// A list of the names of the images to validate on.
    pub val_list: Option<PathBuf>,
    /// What the name of each mask has behind its image's.
    pub mask_suffix: Option<String>,
    /// The form of the labels.
    pub labels: Option<LabelKind>,
    /// The classes.
    pub classes: Option<GivenClasses>,
    /// The values of pixels that are ignored.
    pub ignore: Option<Vec<PixelValue>>,
    /// A COCO file, or a folder of Labelme's files.
    pub annotations: Option<PathBuf>,
    /// Whether classes of annotations may overlap.
    pub overlapping: bool,
    /// Whether folders in the folders count, too.
    pub recursive: bool,
    /// Whether masks of another shape than their image are taken, too.
    pub resize_masks: bool,
    /// How pictures are read.
    pub read: ReadOptions,
    /// What the share that is held out is drawn from.
    pub seed: u64,
}
