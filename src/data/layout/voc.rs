//! PASCAL VOC: `JPEGImages`, `SegmentationClass`, and lists in `ImageSets/Segmentation`.

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::name_list::NameList;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, holds_images};
use super::vocabulary::Split;

/// `train.txt`, `val.txt` and `test.txt` are the three sets. Where `train.txt` is missing, all of `trainval.txt` is
/// trained on, and nothing is validated on.
pub(super) fn find(dir: &Dir) -> Result<Option<Layout>, LayoutError> {
    let [images, masks, sets] =
        ["JPEGImages", "SegmentationClass", "ImageSets"].map(|name| dir.folder(name).map(ToOwned::to_owned));
    let (Some(images), Some(masks), Some(sets)) = (images, masks, sets) else { return Ok(None) };
    if !holds_images(&images) || !holds_images(&masks) {
        return Ok(None);
    }
    let Some(lists) = Dir::read(&sets)?.folder("Segmentation").map(Dir::read).transpose()? else { return Ok(None) };
    let read = |name| lists.file(name).map(NameList::read).transpose();
    let mut layout = Layout::new(LayoutKind::Voc, &dir.path);
    let mut place = |split, names: Option<NameList>| {
        if names.is_some() {
            layout.place(split, Part { names, ..Part::new(images.clone(), Labels::Masks(masks.clone())) });
        }
    };
    match read("train.txt")? {
        None => place(Split::Training, read("trainval.txt")?),
        train => {
            place(Split::Training, train);
            place(Split::Validation, read("val.txt")?);
        }
    }
    place(Split::Test, read("test.txt")?);
    Ok(layout.if_any())
}
