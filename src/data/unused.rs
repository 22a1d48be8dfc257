//! What a folder holds and is not used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

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

impl Unused {
    pub(super) fn add(&mut self, kind: UnusedKind, path: PathBuf) {
        self.0.entry(kind).or_default().push(path);
    }

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
    /// What a file is whose ending is none of an image that is read.
    pub(super) fn of_ending(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
        let ends = |ending: &&str| name.as_encoded_bytes().ends_with(format!(".{ending}").as_bytes());
        let format = NOT_READ.iter().position(|(_, _, endings)| endings.iter().any(|ending| ends(ending)));
        format.map_or(Self::Other, Self::Format)
    }

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
