//! Pairs of files: two folders, an image and its mask sharing a stem.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dataset::Dataset;
use super::error::DataError;
use super::mask::FOREGROUND_ABOVE;
use super::pixels::{Grey, Rgb};
use super::read::{read_grey, read_rgb};

/// Endings that mark a file as an image, in lower case. The ending decides only whether a file is looked at: its
/// format comes from its content.
const ENDINGS: [&str; 17] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "gif", "tif", "tiff", "webp", "pbm", "pgm", "ppm", "pnm", "pam",
    "tga",
];

/// The image files of a folder, in bytewise order of their names. Hidden files, folders and files with other endings
/// are passed over.
///
/// # Errors
///
/// When the folder cannot be listed, when it holds no image, and when two of its images share a stem (so that what
/// belongs to them could not be told apart).
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| DataError::ReadFolder { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_image_name(&path) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(DataError::EmptyFolder { path: folder.to_owned(), looked_for: ENDINGS.join(", ") });
    }
    files.sort_unstable_by(|a, b| bytes(a.file_name()).cmp(bytes(b.file_name())));
    let mut seen: HashMap<&OsStr, &PathBuf> = HashMap::new();
    for path in &files {
        if let Some(first) = path.file_stem().and_then(|stem| seen.insert(stem, path)) {
            return Err(DataError::SameStem { first: first.clone(), second: path.clone() });
        }
    }
    Ok(files)
}

fn bytes(name: Option<&OsStr>) -> &[u8] {
    name.map_or(&[], OsStr::as_encoded_bytes)
}

fn is_image_name(path: &Path) -> bool {
    let hidden = bytes(path.file_name()).starts_with(b".");
    let known = |ending: &OsStr| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    !hidden && path.extension().is_some_and(known)
}

/// An image and its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What their file names share: the name without its last ending.
    pub stem: String,
    /// The image's file.
    pub image: PathBuf,
    /// The mask's file.
    pub mask: PathBuf,
}

/// A [`Dataset`] of two folders. A pair is an image and a mask of the same stem, whatever their endings; pairs stand
/// in bytewise order of the images' names.
#[derive(Clone, Debug)]
pub struct Folder {
    pairs: Vec<Pair>,
}

impl Folder {
    /// Pairs up the files of two folders. Opens no file: see [`check`](Self::check). Also gives the number of masks that
    /// no image belongs to.
    ///
    /// # Errors
    ///
    /// As [`image_files`] for either folder, when they are one folder, and when an image has no mask.
    pub fn open(images: &Path, masks: &Path) -> Result<(Self, usize), DataError> {
        if let (Ok(a), Ok(b)) = (images.canonicalize(), masks.canonicalize())
            && a == b
        {
            return Err(DataError::OneFolder { path: images.to_owned() });
        }
        let images = image_files(images)?;
        let mut mask_of: HashMap<OsString, PathBuf> = image_files(masks)?
            .into_iter()
            .map(|path| (path.file_stem().unwrap_or_default().to_owned(), path))
            .collect();
        let mut pairs = Vec::with_capacity(images.len());
        let mut without = Vec::new();
        for image in &images {
            let stem = image.file_stem().unwrap_or_default();
            match mask_of.remove(stem) {
                Some(mask) => {
                    pairs.push(Pair { stem: stem.to_string_lossy().into_owned(), image: image.clone(), mask })
                }
                None => without.push(image),
            }
        }
        match without.first() {
            None => Ok((Self { pairs }, mask_of.len())),
            Some(&first) => Err(DataError::MissingMask {
                image: first.clone(),
                masks: masks.to_owned(),
                missing: without.len(),
                images: images.len(),
            }),
        }
    }

    /// The pairs, in order.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Decodes every file, on this many threads, so that a bad one shows before hours of training and not after. Gives the
    /// number of masks that hold something, but nothing that counts as foreground: most likely written as 0 and 1.
    ///
    /// # Errors
    ///
    /// The error of the first pair, in order, that cannot be decoded or whose sizes differ.
    pub fn check(&self, threads: usize) -> Result<usize, DataError> {
        let (next, dark) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let first_bad = std::sync::Mutex::new(None::<(usize, DataError)>);
        let work = || {
            loop {
                // relaxed: the counter only hands out indices
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.pairs.len() {
                    break;
                }
                let pair = self.pair(index);
                if let Ok((_, mask)) = &pair
                    && (1..=FOREGROUND_ABOVE).contains(&mask.data.iter().copied().max().unwrap_or(0))
                {
                    dark.fetch_add(1, Ordering::Relaxed);
                }
                if let Err(error) = pair {
                    // a poisoned lock only means that another thread panicked, and its panic surfaces by itself
                    let mut bad = first_bad.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    if bad.as_ref().is_none_or(|(other, _)| index < *other) {
                        *bad = Some((index, error));
                    }
                    // nothing after this pair can be the first bad one
                    next.store(self.pairs.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, self.pairs.len().max(1)) {
                scope.spawn(work);
            }
        });
        match first_bad.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some((_, error)) => Err(error),
            None => Ok(dark.into_inner()),
        }
    }
}

impl Dataset for Folder {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.pairs[index].stem
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        read_rgb(&self.pairs[index].image)
    }

    fn mask(&self, index: usize) -> Result<Grey, DataError> {
        read_grey(&self.pairs[index].mask)
    }

    /// Its error names the files.
    fn pair(&self, index: usize) -> Result<(Rgb, Grey), DataError> {
        let (image, mask) = (self.image(index)?, self.mask(index)?);
        if image.size() == mask.size() {
            return Ok((image, mask));
        }
        let Pair { image: file, mask: mask_file, .. } = &self.pairs[index];
        let name = format!("{} and {}", file.display(), mask_file.display());
        Err(DataError::SizesDiffer { name, image: image.size(), mask: mask.size() })
    }
}
