//! Which images are predicted.

use super::error::PredictError;
use crate::data::listing::Listing;
use crate::data::unused::Unused;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Image files to predict.
#[derive(Clone, Debug)]
pub struct Images {
    files: Vec<PathBuf>,
    /// What the files are called in the folder, or by themselves, without their endings.
    stems: Vec<OsString>,
    /// The folder whose images these are, if that is how they were given.
    folder: Option<Listing>,
    recursive: bool,
}

/// Longer lists are none: a device has no end.
const LONGEST_LIST: u64 = 256 << 20;

impl Images {
    /// One image file, or those of a folder in bytewise order of their names; with `recursive` also those of the
    /// folders in it.
    ///
    /// # Errors
    /// When there is no image, or two images of a folder share a stem.
    pub fn at(path: &Path, recursive: bool) -> Result<Self, PredictError> {
        let missing = |source| PredictError::NoImages { path: path.to_path_buf(), source };
        if path.metadata().map_err(missing)?.is_dir() {
            let listing = Listing::of(path, recursive)?;
            return Ok(Self {
                files: listing.files().to_vec(),
                stems: listing.stems(),
                folder: Some(listing),
                recursive,
            });
        }
        Ok(Self::by_themselves(vec![path.to_path_buf()]))
    }

    /// The image files that a list names, in its order: one path a line, relative to the current folder. Empty lines
    /// are passed over; a line may end in `\r\n`. Paths may be any bytes where the system's are, elsewhere UTF-8.
    /// `name` is the list's, for errors.
    ///
    /// # Errors
    /// When the list cannot be read, or is empty, or a file that it names is not there.
    pub fn listed(list: impl Read, name: &Path) -> Result<Self, PredictError> {
        let unreadable = |source| PredictError::List { list: name.to_path_buf(), source };
        let mut text = Vec::new();
        list.take(LONGEST_LIST + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST_LIST || text.contains(&0) {
            let reason = "it is no list of paths, one a line, of at most 256 MiB";
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        for (line, path) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let path = path.strip_suffix(b"\r").unwrap_or(path);
            if path.is_empty() {
                continue;
            }
            let path = path_of(path).map_err(unreadable)?;
            let source = match path.metadata() {
                Ok(found) if found.is_dir() => Some(io::ErrorKind::IsADirectory.into()),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            missing.extend(source.map(|source| (line, path.clone(), source)));
            files.push(path);
        }
        let (list, images, count) = (name.to_path_buf(), files.len(), missing.len());
        if let Some((line, image, source)) = missing.into_iter().next() {
            return Err(PredictError::Listed { list, line, image, source, missing: count, images });
        }
        if images == 0 {
            return Err(PredictError::EmptyList { list });
        }
        Ok(Self::by_themselves(files))
    }

    fn by_themselves(files: Vec<PathBuf>) -> Self {
        let stems = files.iter().map(|path| path.file_stem().unwrap_or_default().to_owned()).collect();
        Self { files, stems, folder: None, recursive: false }
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What the files are called without their endings: the path in the folder whose images these are, else the name
    /// alone. A mask is called the same.
    pub fn stems(&self) -> &[OsString] {
        &self.stems
    }

    /// The folder whose images these are; `None` for images that were named one by one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(Listing::folder)
    }

    /// Whether they are those of the folders in that folder, too.
    pub fn is_recursive(&self) -> bool {
        self.recursive
    }

    /// What else lies in the folder.
    pub fn unused(&self) -> Option<&Unused> {
        self.folder.as_ref().map(Listing::unused)
    }
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> io::Result<PathBuf> {
    std::str::from_utf8(bytes).map(PathBuf::from).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
