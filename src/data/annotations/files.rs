//! Which image files belong to which annotations.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::coco::file::Coco;
use super::flaw::AnnotationError;
use crate::data::names::match_names;

/// Which image of a COCO file belongs to each image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMatch {
    /// For each file, the number of its image in the annotation file; `None` if that does not list it.
    pub images: Vec<Option<usize>>,
    /// Images of the annotation file (their numbers) that no file belongs to.
    pub missing: Vec<usize>,
}

impl Coco {
    /// Finds the listed images among the files of a folder: by their paths in it, otherwise by their names alone, where
    /// these are there once; then the same without the names' endings, as a picture may have been saved in another format
    /// since. Names may differ in case, or in how Unicode spells them, as those of masks may.
    pub fn matched(&self, folder: &Path, files: &[PathBuf]) -> FileMatch {
        let paths: Vec<OsString> = files.iter().map(|file| plain(file.strip_prefix(folder).unwrap_or(file))).collect();
        let listed: Vec<OsString> = self.listed().iter().map(|image| OsString::from(&image.file_name)).collect();
        let mut images: Vec<Option<usize>> = vec![None; files.len()];
        let mut missing: Vec<usize> = (0..listed.len()).collect();
        for key in [whole, last_part, without_ending, last_stem] {
            let left: Vec<usize> = (0..files.len()).filter(|file| images[*file].is_none()).collect();
            let ((left, names), (wanted, candidates)) = (once(&left, &paths, key), once(&missing, &listed, key));
            for (file, image) in left.iter().zip(match_names(&names, &candidates).candidates) {
                images[*file] = image.map(|image| wanted[image]);
            }
            let taken: HashSet<usize> = images.iter().flatten().copied().collect();
            missing.retain(|image| !taken.contains(image));
        }
        FileMatch { images, missing }
    }

    /// That all listed images are in the folder: that none is `missing` (numbers, as in [`FileMatch`]).
    ///
    /// # Errors
    ///
    /// When some are; they are named.
    pub fn all_there(&self, missing: &[usize], folder: &Path) -> Result<(), AnnotationError> {
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.iter().map(|image| self.listed()[*image].file_name.clone()).collect();
        let (path, folder, of) = (self.path().to_owned(), folder.to_owned(), self.listed().len());
        Err(AnnotationError::MissingImages { path, folder, missing, of })
    }
}

/// A path with `/` between folders.
fn plain(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => text.replace('\\', "/").into(),
        None => path.as_os_str().to_owned(),
    }
}

fn whole(path: &OsStr) -> OsString {
    path.to_owned()
}

fn last_part(path: &OsStr) -> OsString {
    Path::new(path).file_name().unwrap_or_default().to_owned()
}

fn without_ending(path: &OsStr) -> OsString {
    Path::new(path).with_extension("").into_os_string()
}

fn last_stem(path: &OsStr) -> OsString {
    without_ending(&last_part(path))
}

/// Of some paths those whose `key` is there once, and that.
fn once(of: &[usize], paths: &[OsString], key: fn(&OsStr) -> OsString) -> (Vec<usize>, Vec<OsString>) {
    let keys: Vec<OsString> = of.iter().map(|at| key(&paths[*at])).collect();
    let mut count: HashMap<&OsStr, usize> = HashMap::new();
    keys.iter().for_each(|key| *count.entry(key).or_default() += 1);
    let alone = of.iter().zip(&keys).filter(|(_, key)| count[key.as_os_str()] == 1);
    alone.map(|(at, key)| (*at, key.clone())).unzip()
}

/// The file of each image that has its stem and an ending: in `folder`, or beside it. What is not there is `None`.
pub fn files_beside(images: &[PathBuf], root: &Path, folder: Option<&Path>, ending: &str) -> Vec<Option<PathBuf>> {
    let beside = |image: &PathBuf| {
        let place = match folder {
            Some(folder) => folder.join(image.strip_prefix(root).unwrap_or(image)),
            None => image.clone(),
        };
        Some(place.with_extension(ending)).filter(|file| file.is_file())
    };
    images.iter().map(beside).collect()
}
