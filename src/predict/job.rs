//! An image, the files to make of it, and where they go.

use super::error::PredictError;
use crate::choice::choice;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::folders::ClassFolders;
use crate::data::names::has_ending;
use crate::files::folder::{make_writable, parent};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where masks go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a folder: `STEM.png` for each image, and `STEM.overlay.png`; below it, the folders of the images. What there is for each
    /// class lies in a folder of its own ([`ClassFolders`]), again with the folders of the images below it.
    Folder(PathBuf),
    /// The mask of the only image to `FILE.png`, and its overlay to `FILE.overlay.png`.
    File(PathBuf),
}

choice! {
    /// How probabilities are written.
    pub enum ProbabilityFormat: "format of probabilities" {
        /// 8-bit grey: `floor(255 p)`.
        Png = "png",
        /// Grey of 32-bit floating point.
        Tiff = "tiff",
    }
}

/// The files of an image's probabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbabilityFiles {
    /// How they are written.
    pub format: ProbabilityFormat,
    /// One for each class, in their order.
    pub files: Vec<PathBuf>,
}

/// An image file, and the files to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The image.
    pub image: PathBuf,
    /// The mask whose size the prediction takes; without it, it takes the image's.
    pub like: Option<PathBuf>,
    /// The masks to write, 8 bit: one, which is an index map where classes exclude each other; where several may overlap, one for each,
    /// in their order.
    pub masks: Vec<PathBuf>,
    /// The probabilities to write, if they are asked for.
    pub probabilities: Option<ProbabilityFiles>,
    /// The image with its mask or classes drawn over it, if that is asked for.
    pub overlay: Option<PathBuf>,
    /// Whether files are replaced that are there already and that no prediction made
    /// ([`is_prediction`](crate::data::is_prediction)).
    pub overwrite: bool,
}

impl Job {
    /// The files to write.
    pub fn targets(&self) -> impl Iterator<Item = &Path> {
        let probabilities = self.probabilities.iter().flat_map(|probabilities| &probabilities.files);
        self.masks.iter().chain(probabilities).chain(&self.overlay).map(PathBuf::as_path)
    }
}

impl Destination {
    /// A path that ends in `.png`, in any case, and is no folder, is a file; every other is a folder.
    pub fn of(path: &Path) -> Self {
        let png = has_ending(path, "png");
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

    /// The file of an image of this stem with this ending (with its dot); in the folder of a class, if there is one.
    fn file(&self, class: Option<&str>, stem: &OsStr, ending: &str) -> PathBuf {
        match self {
            Self::Folder(out) => {
                let mut name = stem.to_owned();
                name.push(ending);
                class.map_or_else(|| out.clone(), |class| out.join(class)).join(name)
            }
            // as it is spelled
            Self::File(path) if ending == ".png" => path.clone(),
            Self::File(path) => path.with_extension(ending.trim_start_matches('.')),
        }
    }
}

/// Which files are made of each image.
pub(super) struct Files {
    /// Each class's folder, where its masks have one.
    folders: Option<Vec<String>>,
    /// The same for its probabilities.
    probabilities: Option<(ProbabilityFormat, Option<Vec<String>>)>,
    overlay: bool,
}

impl Files {
    /// For a model of these classes (`None`: of one without a name).
    ///
    /// # Errors
    /// When there is to be a file for each class and only one is named, and when the masks would be the probabilities.
    pub fn of(
        classes: Option<&Classes>,
        probabilities: Option<ProbabilityFormat>,
        overlay: bool,
        to: &Destination,
    ) -> Result<Self, PredictError> {
        let several = classes.filter(|classes| classes.len() > 1);
        let folders = several.map(|classes| ClassFolders::of(classes).names().to_vec());
        let exclusive = several.is_some_and(|classes| classes.kind == ClassKind::Exclusive);
        if probabilities == Some(ProbabilityFormat::Png) && !exclusive {
            return Err(PredictError::MasksAreProbabilities);
        }
        let files = Self {
            folders: folders.clone().filter(|_| !exclusive),
            probabilities: probabilities.map(|format| (format, folders)),
            overlay,
        };
        let by_class = files.folders.is_some() || files.probabilities.as_ref().is_some_and(|(_, of)| of.is_some());
        match (to, several) {
            (Destination::File(path), Some(classes)) if by_class => {
                Err(PredictError::OneFileForClasses { path: path.clone(), classes: classes.len() })
            }
            _ => Ok(files),
        }
    }

    /// What is made of an image of this stem.
    pub fn job(&self, to: &Destination, stem: &OsStr, image: &Path) -> Job {
        let each = |folders: &Option<Vec<String>>, ending: &str| match folders {
            None => vec![to.file(None, stem, ending)],
            Some(folders) => folders.iter().map(|class| to.file(Some(class), stem, ending)).collect(),
        };
        let of_format = |(format, folders): &(ProbabilityFormat, Option<Vec<String>>)| {
            // beside masks their stem would be a mask's
            let beside_masks = folders.is_none() || self.folders.is_some();
            let ending = if beside_masks { format!(".probability.{format}") } else { format!(".{format}") };
            ProbabilityFiles { format: *format, files: each(folders, &ending) }
        };
        let probabilities = self.probabilities.as_ref().map(of_format);
        Job {
            image: image.to_path_buf(),
            like: None,
            masks: each(&self.folders, ".png"),
            probabilities,
            overlay: self.overlay.then(|| to.file(None, stem, ".overlay.png")),
            overwrite: false,
        }
    }
}
