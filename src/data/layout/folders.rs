//! Folders of images beside folders of masks, told by their names.

use std::path::{Path, PathBuf};

use super::error::LayoutError;
use super::parts::{Labels, Part};
use super::tree::{Dir, file_name, holds_images, is_same};
use super::vocabulary::{Meaning, Role, Split};

/// The sets of images and masks that a folder's names tell of, each with what it is for.
///
/// - a folder of images beside one of masks (`images`, `masks`): what is trained on, unless their names say more
///   (`imagesTs`);
/// - the same in folders `train`, `val`, `test`; of `test` also a level deeper, as several sets are tested on
///   (`TestDataset/CAMO`);
/// - folders `train`, `val`, `test` in both (`images/train`, `masks/train`).
pub(super) fn find(dir: &Dir) -> Result<Vec<(Split, Part)>, LayoutError> {
    let mut found = pairs(dir)?;
    for folder in &dir.folders {
        let Some(split) = Meaning::of(file_name(folder)).split_alone() else { continue };
        let inner = Dir::read(folder)?;
        let mut inside: Vec<_> =
            pairs(&inner)?.into_iter().filter(|(own, _)| own.is_none_or(|own| own == split)).collect();
        if inside.is_empty() && split == Split::Test {
            for set in &inner.folders {
                inside
                    .extend(pairs(&Dir::read(set)?)?.into_iter().filter(|(own, _)| own.is_none_or(|own| own == split)));
            }
        }
        found.extend(inside.into_iter().map(|(_, part)| (Some(split), part)));
    }
    Ok(found.into_iter().map(|(split, part)| (split.unwrap_or(Split::Training), part)).collect())
}

/// The folders of images and of masks in a folder that belong together, each pair with what its names say that it is
/// for.
fn pairs(dir: &Dir) -> Result<Vec<(Option<Split>, Part)>, LayoutError> {
    let mut named: Vec<(Role, &Path, Meaning)> = Vec::new();
    for folder in &dir.folders {
        let meaning = Meaning::of(file_name(folder));
        let Some(role) = meaning.role else { continue };
        // a link to a folder beside it is no second one
        let again = named.iter().any(|(other, path, _)| *other == role && is_same(path, folder));
        if !again && holds_images(folder) {
            named.push((role, folder, meaning));
        }
    }
    let mut found = Vec::new();
    for (_, images, of_images) in named.iter().filter(|(role, ..)| *role == Role::Images) {
        for (_, masks, of_masks) in named.iter().filter(|(role, ..)| *role == Role::Masks) {
            let belong = of_images.split == of_masks.split && of_images.rest == of_masks.rest;
            if belong && !is_same(images, masks) {
                found.extend(open(images, masks, of_images.split)?);
            }
        }
    }
    Ok(found)
}

/// What a folder of images and one of masks hold: one set, or one for each of their folders `train`, `val`, `test`.
fn open(images: &Path, masks: &Path, split: Option<Split>) -> Result<Vec<(Option<Split>, Part)>, LayoutError> {
    let [inner, inner_masks] = [Dir::read(images)?, Dir::read(masks)?];
    let mut found = Vec::new();
    let mut has_splits = false;
    if split.is_none() {
        for folder in inner.folders_with_images() {
            let meaning = Meaning::of(file_name(folder));
            let Some(split) = meaning.split_alone() else { continue };
            has_splits = true;
            let equal = inner_masks.folders.iter().find(|other| file_name(other) == file_name(folder));
            let alike = || inner_masks.folders.iter().find(|other| Meaning::of(file_name(other)) == meaning);
            if let Some(masks) = equal.or_else(alike).filter(|masks| holds_images(masks)) {
                found.push((Some(split), part(folder, &Dir::read(folder)?, &Dir::read(masks)?)));
            }
        }
    }
    if !has_splits || inner.images().next().is_some() {
        found.push((split, part(images, &inner, &inner_masks)));
    }
    Ok(found)
}

/// One set: images in the folder or in folders of it, masks likewise, or a folder of masks for each class.
pub(super) fn part(images: &Path, inner: &Dir, inner_masks: &Dir) -> Part {
    let masks: PathBuf = inner_masks.path.clone();
    let recursive = inner.images().next().is_none();
    let mirrored = || {
        let mut both = inner.folders.iter().filter(|folder| {
            inner_masks.folders.iter().any(|other| file_name(other).eq_ignore_ascii_case(file_name(folder)))
        });
        recursive && both.next().is_some()
    };
    let by_class = inner_masks.images().next().is_none() && !mirrored();
    let labels = if by_class { Labels::ClassFolders(masks) } else { Labels::Masks(masks) };
    Part { recursive, ..Part::new(images.to_owned(), labels) }
}
