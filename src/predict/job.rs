//! An image, the files to make of it, and where they go.

use super::error::PredictError;
use crate::files::folder::{make_writable, parent};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where masks go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a folder: `STEM.png` for each image, and `STEM.overlay.png`; below it, the folders of the images.
    Folder(PathBuf),
    /// The mask of the only image to `FILE.png`, and its overlay to `FILE.overlay.png`.
    File(PathBuf),
}

/// An image file, and the files to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The image.
    pub image: PathBuf,
    /// The mask whose size the prediction takes; without it, it takes the image's.
    pub like: Option<PathBuf>,
    /// The mask to write: 8 bit.
    pub mask: PathBuf,
    /// The image with its mask drawn over it, if that is asked for.
    pub overlay: Option<PathBuf>,
    /// Whether files are replaced that are there already and that [`write_prediction`](crate::data::write_prediction)
    /// did not write.
    pub overwrite: bool,
}

impl Job {
    /// The files to write.
    pub fn targets(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.mask).chain(&self.overlay).map(PathBuf::as_path)
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

    /// The mask and the overlay of an image of this stem.
    pub(super) fn files(&self, stem: &OsStr) -> (PathBuf, PathBuf) {
        match self {
            Self::Folder(out) => {
                let named = |ending: &str| {
                    let mut name = stem.to_owned();
                    name.push(ending);
                    out.join(name)
                };
                (named(".png"), named(".overlay.png"))
            }
            Self::File(path) => (path.clone(), path.with_extension("overlay.png")),
        }
    }
}
