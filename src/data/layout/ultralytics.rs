//! A data set that a YAML file describes, as Ultralytics documents it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use serde_saphyr::{Location, Spanned};

use super::error::LayoutError;
use super::folders;
use super::kind::LayoutKind;
use super::name_list::NameList;
use super::parts::{Labels, Layout, Part};
use super::tree::{Dir, is_same};
use super::vocabulary::Split;
use super::yaml::{DataSet, OneFolder, bad, looks_like_one};
use crate::data::names::has_ending;
use crate::files::folder::parent;

/// Whether a file's ending is YAML's.
pub(super) fn is_yaml(file: &Path) -> bool {
    ["yaml", "yml"].iter().any(|ending| has_ending(file, ending))
}

/// The layouts that the YAML files of a folder describe. Files of other kinds are passed over.
pub(super) fn find(dir: &Dir) -> Result<Vec<Layout>, LayoutError> {
    dir.files.iter().filter(|file| is_yaml(file) && looks_like_one(file)).map(|file| read(file)).collect()
}

/// The layout that a YAML file describes.
///
/// - Folders (`train`, `val`, `test`) are relative to `path`, and `path` to the file. A file that came from another
///   machine need not be edited: where nothing is under `path`, folders are looked for beside the file, and without a
///   leading `../` too, as Roboflow writes it.
/// - With `masks_dir`, masks are where its name stands for the last `images` of a path. Without, the polygons are where
///   `labels` does.
/// - A text file for a folder lists images, relative to the file (`./images/train/a.jpg`).
///
/// # Errors
///
/// When the file is no such YAML, and when what it names is not there.
pub(super) fn read(file: &Path) -> Result<Layout, LayoutError> {
    let set = DataSet::read(file)?;
    let root = parent(file);
    let mut layout = Layout::new(LayoutKind::Ultralytics, root);
    layout.described_by = Some(file.to_owned());
    layout.classes = Some(set.classes(file)?);
    let sets = [
        ("train", &set.train, Split::Training),
        ("val", &set.val, Split::Validation),
        ("test", &set.test, Split::Test),
    ];
    for (key, folder, split) in sets {
        if let Some(folder) = folder {
            let from = Described { file, root, set: &set, key, at: folder.referenced };
            layout.place(split, from.part(folder)?);
        }
    }
    let none = || bad(file, Location::UNKNOWN, "there is neither `train` nor `val` nor `test`".to_string());
    layout.if_any().ok_or_else(none)
}

/// One key of the file.
struct Described<'a> {
    file: &'a Path,
    root: &'a Path,
    set: &'a DataSet,
    key: &'a str,
    at: Location,
}

impl Described<'_> {
    fn bad(&self, reason: String) -> LayoutError {
        bad(self.file, self.at, reason)
    }

    fn part(&self, folder: &Spanned<OneFolder>) -> Result<Part, LayoutError> {
        let found = self.locate(&folder.value.0)?;
        let (images, names) = if found.is_file() { self.listed(&found)? } else { (found, None) };
        let labels_of = |name: &str| self.beside(&images, name);
        let part = match &self.set.masks_dir {
            None => Part::new(images.clone(), Labels::Polygons(labels_of("labels")?)),
            Some(masks) => {
                let masks = labels_of(masks.value.trim_matches('/'))?;
                folders::part(&images, &Dir::read(&images)?, &Dir::read(&masks)?)
            }
        };
        // a list says itself which folders its images are in
        Ok(Part { recursive: part.recursive || names.is_some(), names, ..part })
    }

    /// Where a path of the file leads.
    fn locate(&self, written: &str) -> Result<PathBuf, LayoutError> {
        let base = self.set.path.as_ref().map_or("", |path| &path.value);
        let inside = written.strip_prefix("../").unwrap_or(written);
        let mut tried = vec![self.root.join(base).join(written)];
        for place in [self.root.join(base).join(inside), self.root.join(written), self.root.join(inside)] {
            if !tried.contains(&place) {
                tried.push(place);
            }
        }
        match tried.iter().find(|path| path.exists()) {
            Some(found) => Ok(plain(found)),
            None => {
                let tried: Vec<_> = tried.iter().map(|path| plain(path).display().to_string()).collect();
                Err(self.bad(format!("`{}`: there is no {}", self.key, tried.join(", and no "))))
            }
        }
    }

    /// The folder beside the images that has `name` in place of the last `images` of their path.
    fn beside(&self, images: &Path, name: &str) -> Result<PathBuf, LayoutError> {
        let parts: Vec<Component> = images.components().collect();
        let Some(at) = parts.iter().rposition(|part| part.as_os_str() == "images") else {
            return Err(self.bad(format!(
                "`{}`: {} has no folder \"images\" in its path, which \"{name}\" is to stand for; move the images to a \
                 folder of this name, or set `images` and `masks`",
                self.key,
                images.display()
            )));
        };
        let mut labels: PathBuf = parts[..at].iter().collect();
        labels.push(name);
        labels.extend(&parts[at + 1..]);
        if labels.is_dir() {
            return Ok(labels);
        }
        let why = match &self.set.masks_dir {
            Some(_) => "masks of",
            None => "text files with the polygons of (there is no `masks_dir`)",
        };
        Err(self.bad(format!(
            "`{}`: there is no folder {} with the {why} {}",
            self.key,
            labels.display(),
            images.display()
        )))
    }

    /// The folder of the images that a text file lists, and their names in it.
    fn listed(&self, list: &Path) -> Result<(PathBuf, Option<NameList>), LayoutError> {
        let written = NameList::read(list)?;
        let mut folder: Option<PathBuf> = None;
        let mut names = Vec::with_capacity(written.names().len());
        for name in written.names() {
            let trimmed = name.to_str().map_or(name, |text| OsStr::new(text.trim()));
            let path = plain(&parent(list).join(trimmed));
            let parts: Vec<Component> = path.components().collect();
            let Some(at) = parts.iter().rposition(|part| part.as_os_str() == "images") else {
                let reason = format!("`{}`: {} has no folder \"images\" in its path", self.key, path.display());
                return Err(self.bad(reason));
            };
            let images: PathBuf = parts[..=at].iter().collect();
            names.push(parts[at + 1..].iter().collect::<PathBuf>().into_os_string());
            if let Some(other) = folder.replace(images.clone()).filter(|other| *other != images) {
                return Err(self.bad(format!(
                    "`{}`: {} lists images of two folders, {} and {}; there must be one",
                    self.key,
                    list.display(),
                    other.display(),
                    images.display()
                )));
            }
        }
        let none = || self.bad(format!("`{}`: {} lists no image", self.key, list.display()));
        Ok((folder.ok_or_else(none)?, Some(written.renamed(names))))
    }
}

/// A path without `.`, and without `x/..`; as it is where that leads elsewhere (`x` is a link).
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    if path.exists() && !is_same(&plain, path) { path.to_owned() } else { plain }
}
