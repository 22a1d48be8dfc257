//! A model that makes masks of images.

use super::error::PredictError;
use super::images::Job;
use crate::checkpoint::detect::detect;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::load::{Scope, load};
use crate::data::example::normalise;
use crate::data::mask::saved_mask;
use crate::data::picture::overlay;
use crate::data::pixels::{Grey, Rgb};
use crate::data::read::read_rgb;
use crate::data::resize::Filter;
use crate::data::write::write_png;
use crate::device::Device;
use crate::kernels::precision::Precision;
use crate::nn::network::{Network, NetworkError, catalogue, specs};
use crate::nn::shape::{SIDES, check_side};
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
}

impl Default for PredictOptions {
    /// The paper's: side 352, the plain map.
    fn default() -> Self {
        Self { size: 352, stretch: false, threshold: None }
    }
}

impl Predictor {
    /// Reads a SAM2-UNet checkpoint of one class, ours or the published `.pth`, to compute on `device` in
    /// `precision`, or in what the file was trained in, where the device offers it ([`precision`](Self::precision) tells).
    ///
    /// # Errors
    /// When the file is damaged, or holds no SAM2-UNet of a known variant.
    pub fn open(path: &Path, device: &Device, precision: Option<Precision>) -> Result<Self, PredictError> {
        let file = WeightFile::open(path)?;
        let variant = detect(&file, &catalogue())?;
        let (mut weights, _) = load(&file, &specs(variant), Scope::All)?;
        let build = |source| PredictError::Build { path: path.to_path_buf(), source };
        let trained = file.metadata().get("precision").and_then(|name| name.parse().ok());
        let precision = precision.or(trained).unwrap_or_default();
        let network = device.network(variant, &mut weights, precision).map_err(build)?;
        Ok(Self { network, path: path.to_path_buf(), trained_size: file.metadata().get("size").cloned() })
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

    /// Reads the job's image and writes its mask, and its overlay if there is to be one.
    ///
    /// # Errors
    /// When the image cannot be read or the mask not be written; either is named.
    pub fn run(&self, job: &Job, options: &PredictOptions) -> Result<(), PredictError> {
        let pixels = read_rgb(&job.image)?;
        let mask = self.mask(&pixels, options)?;
        write_png(&job.mask, &mask)?;
        if let Some(drawn) = &job.overlay {
            write_png(drawn, &overlay(&pixels, &mask))?;
        }
        Ok(())
    }
}
