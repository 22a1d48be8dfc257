//! Cityscapes: `leftImg8bit/train/CITY/X_leftImg8bit.png` with `gtFine/train/CITY/X_gtFine_labelIds.png`.

use std::path::Path;

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, holds_images};
use super::vocabulary::Split;
use crate::data::names::StemRule;

/// Masks of the 19 classes that are scored (`labelTrainIds`, which cityscapesScripts makes) are taken where all sets
/// have them, otherwise those of all labels (`labelIds`), as they are downloaded. The published masks of `test` hold
/// nothing: it is left out.
pub(super) fn find(dir: &Dir) -> Result<Option<Layout>, LayoutError> {
    let (Some(images), Some(masks)) = (dir.folder("leftImg8bit"), dir.folder("gtFine")) else { return Ok(None) };
    let [images, masks] = [Dir::read(images)?, Dir::read(masks)?];
    let sets = [("train", Split::Training), ("val", Split::Validation)];
    let sets = sets.map(|(name, split)| Some((images.folder(name)?, masks.folder(name)?, split)));
    let sets: Vec<_> = sets.into_iter().flatten().filter(|(images, ..)| holds_images(images)).collect();
    let all_have = |suffix: &&str| sets.iter().all(|(_, masks, _)| has_suffix(masks, suffix));
    let Some(suffix) = ["_gtFine_labelTrainIds", "_gtFine_labelIds"].into_iter().find(all_have) else {
        return Ok(None);
    };
    let mut layout = Layout::new(LayoutKind::Cityscapes, &dir.path);
    for (images, masks, split) in &sets {
        let stems = StemRule { image_suffix: "_leftImg8bit".to_string(), mask_suffix: suffix.to_string() };
        let part = Part::new(images.to_path_buf(), Labels::Masks(masks.to_path_buf()));
        layout.place(*split, Part { stems, recursive: true, ..part });
    }
    Ok(layout.training.is_some().then_some(layout))
}

/// Whether a city's folder has a mask of that name.
fn has_suffix(masks: &Path, suffix: &str) -> bool {
    let has = |city: &Dir| {
        let mut stems = city.images().filter_map(|path| path.file_stem());
        stems.any(|stem| stem.as_encoded_bytes().ends_with(suffix.as_bytes()))
    };
    Dir::read(masks).is_ok_and(|dir| dir.folders.iter().any(|city| Dir::read(city).is_ok_and(|city| has(&city))))
}
