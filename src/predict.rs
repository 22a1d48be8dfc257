//! From image files to mask files.

use crate::checkpoint::{self, CheckpointError, Scope, WeightFile};
use crate::data::{self, DataError, Filter, Grey, Rgb};
use crate::nn::{BuildError, Network, NetworkError, catalogue, open_network};
use dfdx::tensor::Cpu;
use std::path::{Path, PathBuf};

/// A trained model, its variant found from its file.
pub struct Predictor {
    network: Box<dyn Network>,
    trained_size: Option<usize>,
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
    /// Two images would give one mask.
    #[error(
        "{first} and {second} would both give the mask {stem}.png: predict them into different folders, or rename one"
    )]
    SameStem {
        /// One image.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What their names share.
        stem: String,
    },
    /// Masks would replace the images they are made of.
    #[error("{0}: masks would be written over the images; give another --out")]
    OverImages(PathBuf),
    /// The folder for the masks cannot be made.
    #[error("{path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Predictor {
    /// Reads a SAM2-UNet checkpoint of one class, ours or the published `.pth`.
    ///
    /// # Errors
    /// When the file is damaged, or holds no SAM2-UNet of a known variant.
    pub fn open(path: &Path) -> Result<Self, PredictError> {
        let file = WeightFile::open(path)?;
        let candidates = catalogue();
        let variant = checkpoint::detect(&file, &candidates)?;
        let specs = candidates.iter().find(|(name, _)| *name == variant).map_or(&[][..], |(_, specs)| specs);
        let (mut weights, _) = checkpoint::load(&file, specs, Scope::All)?;
        let build = |source| PredictError::Build { path: path.to_path_buf(), source };
        match open_network(variant, &Cpu::default(), &mut weights) {
            Some(network) => {
                let trained_size = file.metadata().get("size").and_then(|size| size.parse().ok());
                Ok(Self { network: network.map_err(build)?, trained_size })
            }
            None => unreachable!("the catalogue's variants can be opened"),
        }
    }

    /// The variant's name.
    pub fn variant(&self) -> &'static str {
        self.network.variant()
    }

    /// The side that the model was trained with, if its file tells.
    pub fn trained_size(&self) -> Option<usize> {
        self.trained_size
    }

    /// The mask of one image, at the image's size.
    ///
    /// # Errors
    /// When `options.size` is not a supported side.
    pub fn mask(&self, image: &Rgb, options: &PredictOptions) -> Result<Grey, PredictError> {
        let size = options.size;
        let input = data::normalise(&image.resize(size, size, Filter::Bilinear));
        let logits = self.network.logits(&input, 1, size)?;
        let mut mask = data::saved_mask(&logits, size, image.width, image.height, options.stretch);
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
        let pixels = data::read_rgb(image)?;
        let mask = self.mask(&pixels, options)?;
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        data::write_png(&out.join(format!("{stem}.png")), &mask)?;
        if options.overlay {
            data::write_png(&out.join(format!("{stem}.overlay.png")), &data::overlay(&pixels, &mask))?;
        }
        Ok(())
    }
}

/// The image files to predict: one file, or those of a folder in bytewise order; and the folder for masks, made if need be.
///
/// # Errors
/// When there is no image, when two would give one mask, when masks would replace images, or when the folder cannot be
/// made.
pub fn image_list(images: &Path, out: &Path) -> Result<Vec<PathBuf>, PredictError> {
    let list = if images.is_dir() { data::image_files(images)? } else { vec![images.to_path_buf()] };
    let mut stems = std::collections::HashMap::new();
    for path in &list {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(first) = stems.insert(stem.clone(), path.clone()) {
            return Err(PredictError::SameStem { first, second: path.clone(), stem });
        }
    }
    std::fs::create_dir_all(out).map_err(|source| PredictError::Folder { path: out.to_path_buf(), source })?;
    let folder = if images.is_dir() { images } else { images.parent().unwrap_or(images) };
    if let (Ok(a), Ok(b)) = (folder.canonicalize(), out.canonicalize())
        && a == b
    {
        return Err(PredictError::OverImages(out.to_path_buf()));
    }
    Ok(list)
}
