//! COCO: JSON files of annotations, and the images that they are of. The files are only found here, by their names.

use crate::data::names::has_ending;
use std::path::{Path, PathBuf};

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, file_name};
use super::vocabulary::{Meaning, Role, Split, words_of};

/// First words of COCO's files that hold no outlines of objects.
const OTHERS: [&str; 5] = ["captions", "person", "image", "panoptic", "stuff"];

/// What Roboflow calls its file, which lies beside the images.
const ROBOFLOW: &str = "_annotations.coco.json";

/// The layouts of a folder, one for each way of choosing among files for one set:
///
/// - `annotations/instances_train2017.json` with images in `train2017`, `images/train2017`, `images/train` or `images`;
/// - `train/_annotations.coco.json` beside its images.
pub(super) fn find(dir: &Dir) -> Result<Vec<Layout>, LayoutError> {
    let mut parts = Vec::new();
    if let Some(folder) = dir.folder("annotations") {
        for file in Dir::read(folder)?.files.iter().filter(|path| is_annotations(path)) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            if let Some(images) = images_of(dir, &name)? {
                parts.push((split_of(&name), Part::new(images, Labels::Coco(file.clone()))));
            }
        }
    }
    for folder in std::iter::once(&dir.path).chain(&dir.folders) {
        let split = Meaning::of(file_name(folder)).split_alone();
        if *folder != dir.path && split.is_none() {
            continue;
        }
        let inner = Dir::read(folder)?;
        if let Some(file) = inner.file(ROBOFLOW).filter(|_| inner.images().next().is_some()) {
            let split = if *folder == dir.path { Split::Training } else { split.unwrap_or(Split::Training) };
            parts.push((split, Part::new(folder.clone(), Labels::Coco(file.to_owned()))));
        }
    }
    Ok(Layout::of_parts(LayoutKind::Coco, &dir.path, parts))
}

fn is_annotations(file: &Path) -> bool {
    let is_json = has_ending(file, "json");
    let words = words_of(&file.file_stem().unwrap_or_default().to_string_lossy());
    is_json && words.first().is_some_and(|first| !OTHERS.contains(&&first[..]))
}

/// What a file is for, by its name: `instances_train2017` is for training, and so is one that does not say.
fn split_of(name: &str) -> Split {
    let words = words_of(name);
    let of = |word: &String| Meaning::of(word.trim_end_matches(|c: char| c.is_ascii_digit()).as_ref()).split_alone();
    words.iter().find_map(of).unwrap_or(Split::Training)
}

/// The folder of the images that a file is of: the one whose name is a word of the file's, beside the folder of
/// annotations or in one of images; otherwise the one of that set; otherwise the one of images.
fn images_of(dir: &Dir, name: &str) -> Result<Option<PathBuf>, LayoutError> {
    let named: Vec<Dir> = dir
        .folders
        .iter()
        .filter(|path| Meaning::of(file_name(path)).role == Some(Role::Images))
        .map(|path| Dir::read(path))
        .collect::<Result<_, _>>()?;
    let has_no_role = |path: &&Path| Meaning::of(file_name(path)).role.is_none();
    let places = || named.iter().chain(std::iter::once(dir)).flat_map(Dir::folders_with_images).filter(has_no_role);
    let in_name = |path: &Path| words_of(&file_name(path).to_string_lossy());
    let file = words_of(name);
    let by_name = places().find(|path| in_name(path).iter().any(|word| file.contains(word)));
    let by_split = || {
        let mut split = places().filter(|path| Meaning::of(file_name(path)).split_alone() == Some(split_of(name)));
        split.next()
    };
    let by_role = || named.iter().find(|dir| dir.images().next().is_some()).map(|dir| &*dir.path);
    Ok(by_name.or_else(by_split).or_else(by_role).map(Path::to_owned))
}
