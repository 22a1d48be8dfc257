//! From image files to mask files.

use crate::checkpoint::detect::detect;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::load::{Scope, load};
use crate::data::error::DataError;
use crate::data::example::normalise;
use crate::data::folder::image_files;
use crate::data::mask::saved_mask;
use crate::data::picture::overlay;
use crate::data::pixels::{Grey, Rgb};
use crate::data::read::read_rgb;
use crate::data::resize::Filter;
use crate::data::write::write_png;
use crate::device::Device;
use crate::files::folder::make_writable;
use crate::kernels::precision::Precision;
use crate::nn::network::{Network, NetworkError, catalogue};
use crate::nn::shape::{SIDES, check_side};
use crate::nn::weights::build::BuildError;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A trained model, its variant found from its file.
pub struct Predictor {
    network: Box<dyn Network>,
    path: PathBuf,
    /// As the file has it.
    trained_size: Option<String>,
}

/// How masks are made of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictOptions {
    /// Side of the network's input.
    pub size: usize,
    /// The published script's min-max normalisation of each map.
    pub stretch: bool,
    /// Black and white masks: white where the 8-bit map is at least this share of 255, in `0..=1`.
    pub threshold: Option<f32>,
    /// Also write the image with its mask drawn over it.
    pub overlay: bool,
}

impl Default for PredictOptions {
    /// The paper's: side 352, the plain map.
    fn default() -> Self {
        Self { size: 352, stretch: false, threshold: None, overlay: false }
    }
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model cannot be built from it.
    #[error("{path}: {source}")]
    Build {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        source: BuildError,
    },
    /// An image cannot be read, or a mask not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model could not run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The checkpoint names a side that the network does not have.
    #[error("{path} says that it was trained at side {found:?}, which is none of this network's")]
    TrainedSize {
        /// The checkpoint.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// Two images would give one file.
    #[error("{first} and {second} would both give {target}: predict them into different folders, or rename one")]
    SameTarget {
        /// One image.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The file's name.
        target: String,
    },
    /// Masks would replace, or be taken for, the images they are made of.
    #[error("{0}: masks would be written over the images, or among them")]
    OverImages(PathBuf),
    /// There is no image.
    #[error("{path}: {source}")]
    NoImages {
        /// What was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder for the masks cannot be made, or not be written to.
    #[error("cannot write into {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Predictor {
    /// Reads a SAM2-UNet checkpoint of one class, ours or the published `.pth`, to compute on `device` in
    /// `precision`, or in what the file was trained in, where the device offers it ([`precision`](Self::precision) tells).
    ///
    /// # Errors
    /// When the file is damaged, or holds no SAM2-UNet of a known variant.
    pub fn open(path: &Path, device: &Device, precision: Option<Precision>) -> Result<Self, PredictError> {
        let file = WeightFile::open(path)?;
        let candidates = catalogue();
        let variant = detect(&file, &candidates)?;
        let specs = candidates.iter().find(|(name, _)| *name == variant).map_or(&[][..], |(_, specs)| specs);
        let (mut weights, _) = load(&file, specs, Scope::All)?;
        let build = |source| PredictError::Build { path: path.to_path_buf(), source };
        let trained = file.metadata().get("precision").and_then(|name| name.parse().ok());
        let precision = precision.or(trained).unwrap_or_default();
        match device.network(variant, &mut weights, precision) {
            Some(network) => {
                let trained_size = file.metadata().get("size").cloned();
                Ok(Self { network: network.map_err(build)?, path: path.to_path_buf(), trained_size })
            }
            None => unreachable!("the catalogue's variants can be opened"),
        }
    }

    /// The variant's name.
    pub fn variant(&self) -> &'static str {
        self.network.variant()
    }

    /// What its products are computed in.
    pub fn precision(&self) -> Precision {
        self.network.precision()
    }

    /// The side that the model was trained with, if its file tells.
    ///
    /// # Errors
    /// When the file names a side that the network does not have.
    pub fn trained_size(&self) -> Result<Option<usize>, PredictError> {
        let Some(text) = &self.trained_size else { return Ok(None) };
        let wrong = || PredictError::TrainedSize { path: self.path.clone(), found: text.clone() };
        text.parse().ok().filter(|side| SIDES.contains(side)).map(Some).ok_or_else(wrong)
    }

    /// The mask of one image, at the image's size.
    ///
    /// # Errors
    /// When `options.size` is not a supported side.
    pub fn mask(&self, image: &Rgb, options: &PredictOptions) -> Result<Grey, PredictError> {
        let size = options.size;
        // before memory is asked for
        check_side(size).map_err(NetworkError::from)?;
        let input = normalise(&image.resize(size, size, Filter::Bilinear));
        let logits = self.network.logits(&input, 1, size)?;
        let mut mask = saved_mask(&logits, size, image.width, image.height, options.stretch);
        if let Some(threshold) = options.threshold {
            for v in &mut mask.data {
                *v = if f32::from(*v) >= threshold * 255.0 { 255 } else { 0 };
            }
        }
        Ok(mask)
    }

    /// Reads an image file and writes `OUT/<stem>.png` (and `OUT/<stem>.overlay.png`).
    ///
    /// # Errors
    /// When the image cannot be read or the mask not be written; either is named.
    pub fn file(&self, image: &Path, out: &Path, options: &PredictOptions) -> Result<(), PredictError> {
        let pixels = read_rgb(image)?;
        let mask = self.mask(&pixels, options)?;
        let (target, drawn) = targets(image);
        write_png(&out.join(target), &mask)?;
        if options.overlay {
            write_png(&out.join(drawn), &overlay(&pixels, &mask))?;
        }
        Ok(())
    }
}

/// The image files to predict, one file or those of a folder in bytewise order, checked against the folder for the masks
/// before anything is written.
///
/// # Errors
/// When there is no image, when two would give one file, or when masks would be written over images or among them.
pub fn image_list(images: &Path, out: &Path, overlay: bool) -> Result<Vec<PathBuf>, PredictError> {
    let is_folder = images.is_dir();
    let list = if is_folder { image_files(images)? } else { vec![images.to_path_buf()] };
    if let (false, Err(source)) = (is_folder, images.metadata()) {
        return Err(PredictError::NoImages { path: images.to_path_buf(), source });
    }
    let out_now = out.canonicalize().ok();
    let over = || PredictError::OverImages(out.to_path_buf());
    if is_folder && out_now.is_some() && images.canonicalize().ok() == out_now {
        return Err(over());
    }
    let sources: HashSet<PathBuf> = list.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut made = HashMap::new();
    for path in &list {
        let (mask, drawn) = targets(path);
        for target in std::iter::once(mask).chain(overlay.then_some(drawn)) {
            if out.join(&target).canonicalize().is_ok_and(|target| sources.contains(&target)) {
                return Err(over());
            }
            if let Some(first) = made.insert(target.clone(), path) {
                return Err(PredictError::SameTarget { first: first.clone(), second: path.clone(), target });
            }
        }
    }
    Ok(list)
}

/// The names of an image's mask and of its overlay.
fn targets(image: &Path) -> (String, String) {
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    (format!("{stem}.png"), format!("{stem}.overlay.png"))
}

/// Makes the folder for the masks, and sees whether it can be written to.
///
/// # Errors
/// When it cannot.
pub fn prepare_folder(out: &Path) -> Result<(), PredictError> {
    make_writable(out).map_err(|source| PredictError::Folder { path: out.to_path_buf(), source })
}
