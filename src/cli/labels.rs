//! What the labels of images are, for programs beside `train`, whose settings say it.

use super::flags::choice;
use crate::data::classes::values::PixelValue;
use crate::data::description::classes::GivenClasses;
use crate::data::description::describe::Description;
use crate::data::labels::kind::LabelKind;
use clap::Args;
use std::path::PathBuf;

/// What the labels of images are.
#[derive(Args, Clone)]
pub(crate) struct LabelFlags {
    /// What the name of each mask has behind its image's, before the ending: _segmentation
    #[arg(long, value_name = "TEXT")]
    pub mask_suffix: Option<String>,
    /// The form of the labels: masks of one class, index (values are numbers of classes), table (--classes FILE.toml), a mask for each
    /// class in folders or by suffixes, or annotations [default: what is there]
    #[arg(long, value_name = "NAME", value_parser = choice::<LabelKind>())]
    pub labels: Option<LabelKind>,
    /// The classes in order: names (background,polyp), or a file NAME.toml with their values (polyp = [255, 0, 0])
    #[arg(long, value_name = "NAMES|FILE.toml", value_parser = GivenClasses::of_text)]
    pub classes: Option<GivenClasses>,
    /// Values of pixels that count nowhere: 255,#ffffff [default: 255 where values are numbers of classes]
    #[arg(long, value_name = "VALUES", value_delimiter = ',')]
    pub ignore: Vec<PixelValue>,
    /// COCO file, or folder of Labelme files, in place of masks
    #[arg(long, value_name = "FILE|DIR")]
    pub annotations: Option<PathBuf>,
    /// Let annotations of different classes overlap
    #[arg(long)]
    pub overlapping: bool,
}

impl LabelFlags {
    /// These labels of a folder of images, or of predictions that stand for them.
    pub fn description(&self, images: PathBuf, masks: Option<PathBuf>) -> Description {
        let Self { mask_suffix, labels, classes, ignore, annotations, overlapping } = self.clone();
        Description {
            images: Some(images),
            masks,
            mask_suffix,
            labels,
            classes,
            ignore: (!ignore.is_empty()).then_some(ignore),
            annotations,
            overlapping,
            ..Description::default()
        }
    }

    /// Whether anything is said of them.
    pub fn are_given(&self) -> bool {
        self.tell_of_classes() || self.labels.is_some() || self.mask_suffix.is_some() || self.overlapping
    }

    /// Whether anything is said of the labels that goes beyond masks of one class.
    pub fn tell_of_classes(&self) -> bool {
        let Self { labels, classes, ignore, annotations, .. } = self;
        let form = labels.is_some_and(|labels| labels != LabelKind::Binary);
        form || classes.is_some() || annotations.is_some() || !ignore.is_empty()
    }
}
