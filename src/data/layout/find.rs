//! Finds out which layout a folder has.

use crate::data::names::has_ending;
use std::path::{Path, PathBuf};

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, file_name, is_same};
use super::vocabulary::{Meaning, Role, Split, looked_for};
use super::{cityscapes, coco, folders, labelme, nn_unet, ultralytics, voc};

/// Finds out which of the usual layouts a folder has. `root` may be the YAML file that describes a data set, too. Lists
/// folders and reads what describes the set (lists, YAML, `dataset.json`); opens no image.
///
/// # Errors
///
/// When there is no such layout: what was looked for, and what is there instead. When there are two: both are named.
/// When a file that describes the set is wrong: the file and the line.
pub fn find_layout(root: &Path) -> Result<Layout, LayoutError> {
    if root.is_file() {
        if ultralytics::is_yaml(root) {
            return ultralytics::read(root);
        }
        return Err(LayoutError::NotAFolder { path: root.to_owned() });
    }
    let dir = Dir::read(root)?;
    match layout_of(&dir)? {
        Some(layout) => Ok(layout),
        None => Err(LayoutError::NotFound {
            root: root.to_owned(),
            looked_for: LayoutKind::ALL.iter().map(|kind| kind.looked_for()).collect(),
            there: dir.told(),
            hints: hints(&dir),
        }),
    }
}

fn layout_of(dir: &Dir) -> Result<Option<Layout>, LayoutError> {
    let mut described: Vec<Layout> = Vec::new();
    described.extend(voc::find(dir)?);
    described.extend(nn_unet::find(dir)?);
    described.extend(cityscapes::find(dir)?);
    described.extend(ultralytics::find(dir)?);
    described.extend(coco::find(dir)?);
    described.extend(labelme::find(dir)?);
    let mut pairs = folders::find(dir)?;
    // what a layout of its own kind says of the same folders counts more than what they are called
    pairs.retain(|(split, part)| described.iter().all(|layout| !says(layout, *split, part)));
    if described.is_empty() {
        return by_name(dir, pairs);
    }
    if described.len() == 1 && pairs.is_empty() {
        return Ok(described.pop());
    }
    let mut candidates: Vec<String> = described.iter().map(Layout::name).collect();
    candidates.extend(pairs.iter().map(|(split, part)| told(dir, *split, part)));
    Err(LayoutError::Ambiguous { root: dir.path.clone(), candidates })
}

/// Whether a layout says where the masks of a set are, and that it is here, or says nothing of such a set.
fn says(layout: &Layout, split: Split, part: &Part) -> bool {
    let own: Vec<&Part> = match split {
        Split::Training => layout.training.iter().collect(),
        Split::Validation => layout.validation.iter().collect(),
        Split::Test => layout.tests.iter().collect(),
    };
    let masks = part.labels.path();
    // a list of images may be of several folders of the one of masks
    own.is_empty() || own.iter().any(|own| masks.starts_with(own.labels.path()) || is_same(own.labels.path(), masks))
}

/// The layout of folders that are told by their names only.
fn by_name(dir: &Dir, pairs: Vec<(Split, Part)>) -> Result<Option<Layout>, LayoutError> {
    let mut layout = Layout::new(LayoutKind::Folders, &dir.path);
    for split in [Split::Training, Split::Validation, Split::Test] {
        let own: Vec<&Part> = pairs.iter().filter(|(other, _)| *other == split).map(|(_, part)| part).collect();
        // several sets may be tested on, but a set has one folder of images and one of masks
        let shares = |a: &Part, b: &Part| a.images == b.images || a.labels.path() == b.labels.path();
        let clash = match split {
            Split::Test => own.iter().enumerate().any(|(at, a)| own[at + 1..].iter().any(|b| shares(a, b))),
            _ => own.len() > 1,
        };
        if clash {
            let candidates = own.iter().map(|part| told(dir, split, part)).collect();
            return Err(LayoutError::Ambiguous { root: dir.path.clone(), candidates });
        }
        own.into_iter().for_each(|part| layout.place(split, part.clone()));
    }
    Ok(layout.if_any())
}

/// A pair of folders for people: `images with masks (training)`.
fn told(dir: &Dir, split: Split, part: &Part) -> String {
    let mut layout = Layout::new(LayoutKind::Folders, &dir.path);
    layout.place(split, Part { labels: Labels::Masks(part.labels.path().to_owned()), ..part.clone() });
    layout.name()
}

/// What may have been meant by a folder without a layout.
fn hints(dir: &Dir) -> Vec<String> {
    /// So many folders are looked into.
    const LOOKED_INTO: usize = 20;
    let mut hints = Vec::new();
    let roles: Vec<Role> =
        dir.folders_with_images().iter().filter_map(|path| Meaning::of(file_name(path)).role).collect();
    if roles.contains(&Role::Images) && !roles.contains(&Role::Masks) {
        hints.push(format!("a folder of masks is called one of {}", looked_for(Role::Masks)));
    } else if roles.contains(&Role::Masks) && !roles.contains(&Role::Images) {
        hints.push(format!("a folder of images is called one of {}", looked_for(Role::Images)));
    }
    let named_as_masks = |path: &&PathBuf| Meaning::of(file_name(path)).role == Some(Role::Masks);
    for folder in dir.folders.iter().filter(named_as_masks) {
        let is_text = |path: &PathBuf| has_ending(path, "txt");
        if Dir::read(folder).is_ok_and(|inner| inner.images().next().is_none() && inner.files.iter().any(is_text)) {
            hints.push(format!(
                "{} holds text files, as Ultralytics writes polygons; set `data` to the YAML file that names their \
                 classes",
                folder.display()
            ));
        }
    }
    for folder in dir.folders.iter().take(LOOKED_INTO) {
        if let Ok(inner) = Dir::read(folder)
            && let Ok(Some(layout)) = layout_of(&inner)
        {
            hints.push(format!("{} has one ({}); set `data` to it", folder.display(), layout.name()));
        }
    }
    hints
}
