//! Labelme: a JSON file beside each image that was annotated.

use std::fs;
use std::path::Path;

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, file_name};
use super::vocabulary::{Meaning, Role, Split};

/// The layouts of a folder, one for each way of choosing among folders for one set: images with their JSON files in the folder itself,
/// in a folder of images, or in folders `train`, `val`, `test` of one of both.
pub(super) fn find(dir: &Dir) -> Result<Vec<Layout>, LayoutError> {
    let mut parts = Vec::new();
    let mut take = |folder: &Dir, split: Split| {
        let is_there = is_annotated(folder);
        if is_there {
            parts.push((split, Part::new(folder.path.clone(), Labels::Labelme(folder.path.clone()))));
        }
        is_there
    };
    take(dir, Split::Training);
    for folder in &dir.folders {
        let meaning = Meaning::of(file_name(folder));
        match (meaning.role, meaning.split) {
            (Some(Role::Images), split) => {
                let inner = Dir::read(folder)?;
                if take(&inner, split.unwrap_or(Split::Training)) || split.is_some() {
                    continue;
                }
                for folder in &inner.folders {
                    if let Some(split) = Meaning::of(file_name(folder)).split_alone() {
                        take(&Dir::read(folder)?, split);
                    }
                }
            }
            (None, Some(split)) => {
                let inner = Dir::read(folder)?;
                if !take(&inner, split)
                    && let Some(images) = inner.folders.iter().find(|path| is_of_images(path))
                {
                    take(&Dir::read(images)?, split);
                }
            }
            _ => {}
        }
    }
    Ok(Layout::of_parts(LayoutKind::Labelme, &dir.path, parts))
}

fn is_of_images(folder: &Path) -> bool {
    let meaning = Meaning::of(file_name(folder));
    meaning.role == Some(Role::Images) && meaning.split.is_none()
}

/// Whether an image has a file of Labelme beside it. One such file is looked into.
fn is_annotated(folder: &Dir) -> bool {
    let beside =
        |image: &Path| Some(image.with_extension("json")).filter(|file| folder.files.binary_search(file).is_ok());
    let first = folder.images().find_map(beside);
    let has_shapes = |text: Vec<u8>| text.windows(SHAPES.len()).any(|part| part == SHAPES);
    first.is_some_and(|file| fs::read(file).is_ok_and(has_shapes))
}

/// A key that each file of Labelme has.
const SHAPES: &[u8] = b"\"shapes\"";
