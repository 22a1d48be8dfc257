//! The image files of a folder, and what else lies there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::DataError;

/// Endings that mark a file as an image, in lower case. The ending decides only whether a file is looked at: its
/// format comes from its content.
const ENDINGS: [&str; 17] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "gif", "tif", "tiff", "webp", "pbm", "pgm", "ppm", "pnm", "pam",
    "tga",
];

/// Endings of pictures that are not read: code, name for people, endings in lower case.
const NOT_READ: [(&str, &str, &[&str]); 8] = [
    ("heic", "HEIC", &["heic", "heif", "hif"]),
    ("avif", "AVIF", &["avif"]),
    ("jpeg-2000", "JPEG 2000", &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm"]),
    ("jpeg-xl", "JPEG XL", &["jxl"]),
    ("raw", "camera RAW", &["dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2", "pef", "srw"]),
    ("dicom", "DICOM", &["dcm", "dicom"]),
    ("nifti", "NIfTI", &["nii", "nii.gz"]),
    ("vector", "vector or layered picture", &["svg", "psd", "ai", "eps", "pdf"]),
];

/// The image files of a folder.
#[derive(Clone, Debug)]
pub struct Listing {
    folder: PathBuf,
    files: Vec<PathBuf>,
    unused: Unused,
}

/// What a folder holds beside the images that are used, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unused(BTreeMap<UnusedKind, Vec<PathBuf>>);

/// Why something in a folder is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnusedKind {
    /// A picture of a format that is not read: its place in the list of such formats.
    Format(usize),
    /// An image file of zero bytes.
    ZeroBytes,
    /// A link to nothing.
    BrokenLink,
    /// A folder, where folders in folders are not looked into.
    Subfolder,
    /// Neither a file nor a folder: a pipe, a device.
    Special,
    /// A name that begins with a dot.
    Hidden,
    /// A file whose ending is no picture's.
    Other,
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
        listing.unused.0.values_mut().for_each(|paths| paths.sort_unstable());
        if listing.files.is_empty() {
            let (path, looked_for) = (folder.to_owned(), ENDINGS.join(", "));
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
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let hidden = bytes(path.file_name().unwrap_or_default()).starts_with(b".");
            let unused = match path.metadata() {
                _ if hidden => UnusedKind::Hidden,
                Err(_) => UnusedKind::BrokenLink,
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
            self.unused.0.entry(unused).or_default().push(path);
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

/// What a file is by its ending, if it is no image that is read.
fn kind_of(path: &Path) -> Option<UnusedKind> {
    let Some(ending) = path.extension() else { return Some(UnusedKind::Other) };
    if ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        return None;
    }
    let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
    let ends = |ending: &&str| bytes(&name).ends_with(format!(".{ending}").as_bytes());
    let format = NOT_READ.iter().position(|(_, _, endings)| endings.iter().any(|ending| ends(ending)));
    Some(format.map_or(UnusedKind::Other, UnusedKind::Format))
}

impl Unused {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each kind with its paths.
    pub fn kinds(&self) -> impl Iterator<Item = (UnusedKind, &[PathBuf])> {
        self.0.iter().map(|(kind, paths)| (*kind, &paths[..]))
    }

    /// What may have been meant to be used.
    pub fn suspicious(&self) -> Self {
        let harmless = [UnusedKind::Hidden, UnusedKind::Other];
        Self(self.0.iter().filter(|(kind, _)| !harmless.contains(kind)).map(|(k, paths)| (*k, paths.clone())).collect())
    }
}

impl UnusedKind {
    /// What reports call it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Format(at) => NOT_READ[at].0,
            Self::ZeroBytes => "zero-bytes",
            Self::BrokenLink => "broken-link",
            Self::Subfolder => "subfolder",
            Self::Special => "special-file",
            Self::Hidden => "hidden",
            Self::Other => "other",
        }
    }
}

/// The names of files, for people: the first few, and how many there are beside them.
pub(crate) struct Few<'a>(pub &'a [PathBuf]);

impl fmt::Display for Few<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (number, path) in self.0.iter().take(SHOWN).enumerate() {
            let name = path.file_name().unwrap_or(path.as_os_str());
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, name.display())?;
        }
        if self.0.len() > SHOWN { write!(f, " and {} more", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

/// Counts by kind, with a few names: `2 HEIC files, which are not read (a.heic, b.heic); 1 subfolder (old)`.
impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (kind, paths)) in self.0.iter().enumerate() {
            let (count, several) = (paths.len(), if paths.len() == 1 { "" } else { "s" });
            let what = match kind {
                UnusedKind::Format(at) => format!("{} file{several}, not read (save as JPEG or PNG)", NOT_READ[*at].1),
                UnusedKind::ZeroBytes => format!("image file{several} of zero bytes"),
                UnusedKind::BrokenLink => format!("broken link{several}"),
                UnusedKind::Subfolder => format!("subfolder{several}, not looked into (`recursive`)"),
                UnusedKind::Special => format!("pipe{several} or device{several}"),
                UnusedKind::Hidden => format!("hidden name{several}"),
                UnusedKind::Other => format!("other file{several}"),
            };
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{count} {what}: {}", Few(paths))?;
        }
        Ok(())
    }
}
