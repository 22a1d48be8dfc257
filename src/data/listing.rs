//! The image files of a folder, and what else lies there.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::unused::{Unused, UnusedKind};

/// Endings that mark a file as an image, in lower case. The ending decides only whether a file is looked at: its
/// format comes from its content.
const ENDINGS: [&str; 17] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "gif", "tif", "tiff", "webp", "pbm", "pgm", "ppm", "pnm", "pam",
    "tga",
];

/// The endings of JPEG 2000.
#[cfg(feature = "jpeg2000")]
const JPEG_2000_ENDINGS: &[&str] = &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx"];
#[cfg(not(feature = "jpeg2000"))]
const JPEG_2000_ENDINGS: &[&str] = &[];

/// The image files of a folder.
#[derive(Clone, Debug)]
pub struct Listing {
    folder: PathBuf,
    files: Vec<PathBuf>,
    unused: Unused,
}

impl Listing {
    /// Lists the images of a folder, in bytewise order of their names; with `recursive` also those of the folders in it. Opens no
    /// file.
    ///
    /// # Errors
    ///
    /// When a folder cannot be listed, when there is no image, and when two images share a stem (so that what belongs to
    /// them could not be told apart).
    pub fn of(folder: &Path, recursive: bool) -> Result<Self, DataError> {
        let mut listing = Self { folder: folder.to_owned(), files: Vec::new(), unused: Unused::default() };
        let mut entered = HashSet::new();
        listing.enter(folder, recursive, &mut entered)?;
        if listing.files.is_empty() {
            let (path, looked_for) = (folder.to_owned(), endings().collect::<Vec<_>>().join(", "));
            return Err(DataError::EmptyFolder { path, looked_for, unused: listing.unused });
        }
        listing.files.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        let mut seen: HashMap<OsString, usize> = HashMap::new();
        let mut twice = (0..listing.files.len()).filter_map(|at| Some((seen.insert(listing.stem(at), at)?, at)));
        if let Some((first, second)) = twice.next() {
            let others = twice.count();
            let [first, second] = [first, second].map(|at| listing.files[at].clone());
            return Err(DataError::SameStem { first, second, others });
        }
        Ok(listing)
    }

    /// The contents of `folder`, which is entered once, whatever links lead to it.
    fn enter(&mut self, folder: &Path, recursive: bool, entered: &mut HashSet<PathBuf>) -> Result<(), DataError> {
        let unreadable = |source| DataError::ReadFolder { path: folder.to_owned(), source };
        if !entered.insert(folder.canonicalize().map_err(unreadable)?) {
            return Ok(());
        }
        let entries = std::fs::read_dir(folder).map_err(unreadable)?.map(|entry| Ok(entry?.path()));
        let mut paths = entries.collect::<io::Result<Vec<PathBuf>>>().map_err(unreadable)?;
        // the system's order is any
        paths.sort_unstable();
        for path in paths {
            let hidden = bytes(path.file_name().unwrap_or_default()).starts_with(b".");
            let unused = match path.metadata() {
                _ if hidden => UnusedKind::Hidden,
                Err(error) => failed(error.kind()),
                Ok(found) if found.is_dir() && recursive => {
                    self.enter(&path, recursive, entered)?;
                    continue;
                }
                Ok(found) if found.is_dir() => UnusedKind::Subfolder,
                Ok(found) if !found.is_file() => UnusedKind::Special,
                Ok(found) => match kind_of(&path) {
                    Some(other) => other,
                    None if found.len() == 0 => UnusedKind::ZeroBytes,
                    None => {
                        self.files.push(path);
                        continue;
                    }
                },
            };
            self.unused.add(unused, path);
        }
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The images.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The path of the image `index` in the folder, without its ending: what an image shares with its mask.
    pub fn stem(&self, index: usize) -> OsString {
        let file = &self.files[index];
        file.strip_prefix(&self.folder).unwrap_or(file).with_extension("").into_os_string()
    }

    /// The stems of all images, in their order.
    pub fn stems(&self) -> Vec<OsString> {
        (0..self.files.len()).map(|index| self.stem(index)).collect()
    }

    /// What else lies in the folder.
    pub fn unused(&self) -> &Unused {
        &self.unused
    }
}

/// The image files of a folder, in bytewise order of their names.
///
/// # Errors
///
/// As [`Listing::of`].
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(Listing::of(folder, false)?.files)
}

fn bytes<T: AsRef<OsStr> + ?Sized>(name: &T) -> &[u8] {
    name.as_ref().as_encoded_bytes()
}

/// Whether a name's ending is an image's.
pub(super) fn has_image_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| endings().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// All endings of images that are read.
fn endings() -> impl Iterator<Item = &'static str> {
    ENDINGS.iter().chain(JPEG_2000_ENDINGS).copied()
}

/// What an entry of a folder is whose facts the system does not tell, since this happened.
fn failed(kind: io::ErrorKind) -> UnusedKind {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => UnusedKind::BrokenLink,
        _ => UnusedKind::Unreadable,
    }
}

/// What a file is by its ending, if it is no image that is read.
fn kind_of(path: &Path) -> Option<UnusedKind> {
    if has_image_ending(path) { None } else { Some(UnusedKind::of_ending(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_to_nothing_is_a_broken_link() {
        assert_eq!(failed(io::ErrorKind::NotFound), UnusedKind::BrokenLink);
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::TimedOut, io::ErrorKind::Other] {
            assert_eq!(failed(kind), UnusedKind::Unreadable, "{kind}");
        }
    }
}
