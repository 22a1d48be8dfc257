//! Which images are predicted, and where their masks go.

use super::error::PredictError;
use crate::data::listing::image_files;
use crate::files::folder::{make_writable, parent};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Image files to predict.
#[derive(Clone, Debug)]
pub struct Images {
    files: Vec<PathBuf>,
    /// The folder whose images these are, if that is how they were given.
    folder: Option<PathBuf>,
}

/// Where masks go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a folder: `STEM.png` for each image, and `STEM.overlay.png`.
    Folder(PathBuf),
    /// The mask of the only image to `FILE.png`, and its overlay to `FILE.overlay.png`.
    File(PathBuf),
}

/// An image file, and the files to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The image.
    pub image: PathBuf,
    /// Its mask: 8 bit, at the image's size.
    pub mask: PathBuf,
    /// The image with its mask drawn over it, if that is asked for.
    pub overlay: Option<PathBuf>,
}

impl Images {
    /// One image file, or those of a folder in bytewise order of their names.
    ///
    /// # Errors
    /// When there is no image, or two images of the folder share a stem.
    pub fn at(path: &Path) -> Result<Self, PredictError> {
        let missing = |source| PredictError::NoImages { path: path.to_path_buf(), source };
        if path.metadata().map_err(missing)?.is_dir() {
            return Ok(Self { files: image_files(path)?, folder: Some(path.to_path_buf()) });
        }
        Ok(Self { files: vec![path.to_path_buf()], folder: None })
    }

    /// The image files that a list names, in its order: one path a line, relative to the current folder. Empty lines are
    /// passed over; a line may end in `\r\n`. Paths may be any bytes where the system's are, elsewhere UTF-8. `name` is
    /// the list's, for errors.
    ///
    /// # Errors
    /// When the list cannot be read, or is empty, or a file that it names is not there.
    pub fn listed(mut list: impl Read, name: &Path) -> Result<Self, PredictError> {
        let unreadable = |source| PredictError::List { list: name.to_path_buf(), source };
        let mut text = Vec::new();
        list.read_to_end(&mut text).map_err(unreadable)?;
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
        Ok(Self { files, folder: None })
    }

    /// What is to be made of these images, checked before anything is written.
    ///
    /// # Errors
    /// When two images would give one file, when one file is to take the masks of several images, and when masks would
    /// be written over images or into the folder of images that was given.
    pub fn jobs(&self, to: &Destination, overlay: bool) -> Result<Vec<Job>, PredictError> {
        let over = || PredictError::OverImages(to.path().to_path_buf());
        match (to, &self.folder) {
            (Destination::File(path), _) if self.files.len() != 1 => {
                return Err(PredictError::OneFile { path: path.clone(), images: self.files.len() });
            }
            (Destination::Folder(out), Some(folder)) if is_same(out, folder) => return Err(over()),
            _ => {}
        }
        let sources: HashSet<PathBuf> = self.files.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let mut made = HashMap::new();
        let mut jobs = Vec::with_capacity(self.files.len());
        for image in &self.files {
            let job = to.job(image, overlay);
            for target in std::iter::once(&job.mask).chain(&job.overlay) {
                if target.canonicalize().is_ok_and(|target| sources.contains(&target)) {
                    return Err(over());
                }
                match made.insert(target.clone(), image) {
                    None => {}
                    Some(first) if first == image => return Err(PredictError::Twice { image: image.clone() }),
                    Some(first) => {
                        let (first, second) = (first.clone(), image.clone());
                        return Err(PredictError::SameTarget { first, second, target: target.clone() });
                    }
                }
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

impl Destination {
    /// A path that ends in `.png`, in any case, and is no folder, is a file; every other is a folder.
    pub fn of(path: &Path) -> Self {
        let png = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        match png && !path.is_dir() {
            true => Self::File(path.to_path_buf()),
            false => Self::Folder(path.to_path_buf()),
        }
    }

    /// The file or the folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) => path,
        }
    }

    /// Makes the folder that is written into, if there is none, and sees whether it can be written to.
    ///
    /// # Errors
    /// When it cannot.
    pub fn prepare(&self) -> Result<(), PredictError> {
        let folder = match self {
            Self::Folder(path) => path,
            Self::File(path) => parent(path),
        };
        make_writable(folder).map_err(|source| PredictError::Folder { path: folder.to_path_buf(), source })
    }

    fn job(&self, image: &Path, overlay: bool) -> Job {
        let (mask, drawn) = match self {
            Self::Folder(out) => {
                let named = |ending: &str| {
                    let mut name = OsString::from(image.file_stem().unwrap_or_default());
                    name.push(ending);
                    out.join(name)
                };
                (named(".png"), named(".overlay.png"))
            }
            Self::File(path) => (path.clone(), path.with_extension("overlay.png")),
        };
        Job { image: image.to_path_buf(), mask, overlay: overlay.then_some(drawn) }
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
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
