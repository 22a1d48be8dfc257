//! Which image files belong to which annotations.

use std::collections::HashMap;
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
    /// these are there once. Names may differ in case, or in how Unicode spells them, as those of masks may.
    pub fn matched(&self, folder: &Path, files: &[PathBuf]) -> FileMatch {
        let paths: Vec<OsString> = files.iter().map(|file| plain(file.strip_prefix(folder).unwrap_or(file))).collect();
        let listed: Vec<OsString> = self.listed().iter().map(|image| OsString::from(&image.file_name)).collect();
        let mut found = match_names(&paths, &listed);
        let left_files: Vec<usize> = (0..files.len()).filter(|file| found.candidates[*file].is_none()).collect();
        let (left_files, names) = once(left_files, &paths);
        let (left_images, candidates) = once(found.left, &listed);
        let by_name = match_names(&names, &candidates);
        for (file, image) in left_files.iter().zip(&by_name.candidates) {
            found.candidates[*file] = image.map(|image| left_images[image]);
        }
        let mut there = vec![false; listed.len()];
        found.candidates.iter().flatten().for_each(|image| there[*image] = true);
        let missing = (0..listed.len()).filter(|image| !there[*image]).collect();
        FileMatch { images: found.candidates, missing }
    }

    /// That all listed images are there.
    ///
    /// # Errors
    ///
    /// When some are not; they are named.
    pub fn all_there(&self, found: &FileMatch, folder: &Path) -> Result<(), AnnotationError> {
        if found.missing.is_empty() {
            return Ok(());
        }
        let missing = found.missing.iter().map(|image| self.listed()[*image].file_name.clone()).collect();
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

/// Of some paths those whose last part is there once, and that part.
fn once(of: Vec<usize>, paths: &[OsString]) -> (Vec<usize>, Vec<OsString>) {
    let name = |at: &usize| Path::new(&paths[*at]).file_name().unwrap_or(OsStr::new("")).to_owned();
    let mut count: HashMap<OsString, usize> = HashMap::new();
    of.iter().for_each(|at| *count.entry(name(at)).or_default() += 1);
    of.into_iter().filter(|at| count[&name(at)] == 1).map(|at| (at, name(&at))).unzip()
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
