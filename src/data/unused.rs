//! What a folder holds and is not used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::choice::choice;

choice! {
    /// A format of pictures that is not read.
    #[derive(PartialOrd, Ord)]
    pub enum OtherFormat: "format" {
        /// HEIC, as iPhones write it.
        Heic = "heic",
        /// AVIF.
        Avif = "avif",
        /// JPEG 2000.
        Jpeg2000 = "jpeg-2000",
        /// JPEG XL.
        JpegXl = "jpeg-xl",
        /// What a camera's sensor saw.
        Raw = "raw",
        /// DICOM, as medical devices write it.
        Dicom = "dicom",
        /// NIfTI, volumes of medical devices.
        Nifti = "nifti",
        /// Vectors, or layers.
        Vector = "vector",
    }
}

impl OtherFormat {
    /// Its name for people.
    fn title(self) -> &'static str {
        match self {
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::Jpeg2000 => "JPEG 2000",
            Self::JpegXl => "JPEG XL",
            Self::Raw => "camera RAW",
            Self::Dicom => "DICOM",
            Self::Nifti => "NIfTI",
            Self::Vector => "vector or layered picture",
        }
    }

    /// What to do with its files; as what a file's content tells where one is read.
    fn advice(self) -> &'static str {
        match self {
            Self::Heic | Self::Avif | Self::JpegXl => "save as JPEG or PNG",
            Self::Jpeg2000 if cfg!(feature = "jpeg2000") => "save as 8-bit PNG",
            Self::Jpeg2000 => "save as 8-bit PNG; a program built with the feature `jpeg2000` reads it",
            Self::Raw => "develop to JPEG, PNG or 8-bit TIFF",
            Self::Dicom | Self::Nifti => {
                "save the slices as 8-bit PNG, with the window that shows what is to be segmented"
            }
            Self::Vector => "save as 8-bit PNG",
        }
    }

    /// The endings of its files, in lower case.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Heic => &["heic", "heif", "hif"],
            Self::Avif => &["avif"],
            // the feature reads all but documents of several layers
            Self::Jpeg2000 if cfg!(feature = "jpeg2000") => &["jpm"],
            Self::Jpeg2000 => &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm"],
            Self::JpegXl => &["jxl"],
            Self::Raw => &["dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2", "pef", "srw"],
            Self::Dicom => &["dcm", "dicom"],
            Self::Nifti => &["nii", "nii.gz"],
            Self::Vector => &["svg", "psd", "ai", "eps", "pdf"],
        }
    }
}

/// What a folder holds beside the images that are used, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unused(BTreeMap<UnusedKind, Vec<PathBuf>>);

/// Why something in a folder is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnusedKind {
    /// A picture of a format that is not read.
    Format(OtherFormat),
    /// An image file of zero bytes.
    ZeroBytes,
    /// A link to nothing.
    BrokenLink,
    /// What the system tells nothing of: a right is missing, a disk is gone.
    Unreadable,
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
    pub(in crate::data) fn add(&mut self, kind: UnusedKind, path: PathBuf) {
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
        let format = OtherFormat::ALL.iter().find(|format| format.endings().iter().any(ends));
        format.copied().map_or(Self::Other, Self::Format)
    }

    /// What reports call it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Format(format) => format.name(),
            Self::ZeroBytes => "zero-bytes",
            Self::BrokenLink => "broken-link",
            Self::Unreadable => "unreadable",
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

/// The names of those files of a set that lack another: all of them, and the first few where every file does, as then it is
/// the folder that is wrong.
pub(crate) struct Lacking<'a> {
    /// The files.
    pub files: &'a [PathBuf],
    /// How many files the set has.
    pub of: usize,
}

impl fmt::Display for Lacking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.len() == self.of {
            return Few(self.files).fmt(f);
        }
        for (number, path) in self.files.iter().enumerate() {
            let name = path.file_name().unwrap_or(path.as_os_str());
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, name.display())?;
        }
        Ok(())
    }
}

/// Counts by kind, with a few names: `2 HEIC files, which are not read (a.heic, b.heic); 1 subfolder (old)`.
impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (kind, paths)) in self.0.iter().enumerate() {
            let (count, several) = (paths.len(), if paths.len() == 1 { "" } else { "s" });
            let what = match kind {
                UnusedKind::Format(format) => {
                    format!("{} file{several}, not read ({})", format.title(), format.advice())
                }
                UnusedKind::ZeroBytes => format!("image file{several} of zero bytes"),
                UnusedKind::BrokenLink => format!("broken link{several}"),
                UnusedKind::Unreadable => format!("name{several} that cannot be looked at (are the rights missing?)"),
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
