//! Looking into folders.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirEntry, FileType};
use std::path::{Path, PathBuf};

use super::error::LayoutError;
use crate::data::listing::has_image_ending;

/// What lies in a folder, in bytewise order of names: no hidden names, no broken links. Links count as what they lead
/// to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dir {
    pub path: PathBuf,
    pub folders: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
}

/// How deep images are looked for.
const DEPTH: usize = 6;

impl Dir {
    pub fn read(path: &Path) -> Result<Self, LayoutError> {
        let unreadable = |source| LayoutError::Read { path: path.to_owned(), source };
        let mut dir = Self { path: path.to_owned(), ..Self::default() };
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            match kind_of(&entry) {
                Some(kind) if kind.is_dir() => dir.folders.push(entry.path()),
                Some(kind) if kind.is_file() => dir.files.push(entry.path()),
                _ => {}
            }
        }
        dir.folders.sort_unstable();
        dir.files.sort_unstable();
        Ok(dir)
    }

    /// The folder of that name, in any case: the one that is equal first.
    pub fn folder(&self, name: &str) -> Option<&Path> {
        let equal = self.folders.iter().find(|path| file_name(path) == name);
        equal.or_else(|| self.folders.iter().find(|path| file_name(path).eq_ignore_ascii_case(name))).map(|p| &**p)
    }

    /// The file of that name, in any case.
    pub fn file(&self, name: &str) -> Option<&Path> {
        self.files.iter().find(|path| file_name(path).eq_ignore_ascii_case(name)).map(|path| &**path)
    }

    /// Its image files.
    pub fn images(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|path| &**path).filter(|path| has_image_ending(path))
    }

    /// The folders in it that hold images, in themselves or below.
    pub fn folders_with_images(&self) -> Vec<&Path> {
        self.folders.iter().map(|path| &**path).filter(|path| holds_images(path)).collect()
    }

    /// What it holds, for people.
    pub fn told(&self) -> String {
        const SHOWN: usize = 12;
        let mut told = Vec::new();
        if !self.folders.is_empty() {
            let names = self.folders.iter().take(SHOWN);
            let names = names.map(|path| {
                let name = file_name(path).display();
                if holds_images(path) { format!("{name}") } else { format!("{name} (no image file in it)") }
            });
            let more = self.folders.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let plural = if self.folders.len() == 1 { "" } else { "s" };
            told.push(format!("folder{plural} {}{more}", names.collect::<Vec<_>>().join(", ")));
        }
        let images = self.images().count();
        for (count, what) in [(images, "image file"), (self.files.len() - images, "other file")] {
            if count > 0 {
                told.push(format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
            }
        }
        if told.is_empty() { "nothing".to_string() } else { told.join("; ") }
    }
}

/// Whether a folder holds an image file, in itself or below. What cannot be read holds none.
pub(super) fn holds_images(folder: &Path) -> bool {
    fn look(folder: &Path, depth: usize, entered: &mut HashSet<PathBuf>) -> bool {
        // a folder is entered once, whatever links lead to it
        if !folder.canonicalize().is_ok_and(|folder| entered.insert(folder)) {
            return false;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return false };
        let mut folders = Vec::new();
        // the first image ends it: there may be a hundred thousand
        for entry in entries.flatten() {
            match kind_of(&entry) {
                Some(kind) if kind.is_file() && has_image_ending(&entry.path()) => return true,
                Some(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => {}
            }
        }
        depth > 0 && folders.iter().any(|path| look(path, depth - 1, entered))
    }
    look(folder, DEPTH, &mut HashSet::new())
}

/// What an entry is, or what it leads to; `None` for hidden names and links to nothing.
fn kind_of(entry: &DirEntry) -> Option<FileType> {
    if entry.file_name().as_encoded_bytes().starts_with(b".") {
        return None;
    }
    let kind = entry.file_type().ok()?;
    // only links need a look at what they lead to
    if kind.is_symlink() { entry.path().metadata().ok().map(|found| found.file_type()) } else { Some(kind) }
}

/// Whether two paths lead to one folder or file.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The name of a file or folder, without what leads to it.
pub(super) fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

/// A path for people: as it lies in the folder, if it does.
pub(super) fn shown(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside.display().to_string(),
        _ => path.display().to_string(),
    }
}
