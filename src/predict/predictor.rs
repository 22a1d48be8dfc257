//! A model that makes masks of images.

use super::error::PredictError;
use super::existing::check_target;
use super::job::Job;
use crate::checkpoint::detect::detect;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::load::{Scope, load};
use crate::data::example::normalise;
use crate::data::mask::saved_mask;
use crate::data::pair_facts::PictureFacts;
use crate::data::picture::overlay;
use crate::data::pixels::{Grey, Pixels, Rgb};
use crate::data::read::facts::ReadOptions;
use crate::data::read::read_rgb_with;
use crate::data::resize::Filter;
use crate::data::size::picture_size;
use crate::data::write::write_prediction;
use crate::device::Device;
use crate::files::folder::parent;
use crate::kernels::precision::Precision;
use crate::nn::network::{Network, NetworkError, catalogue, specs};
use crate::nn::shape::{SIDES, check_side};
use std::fs;
use std::path::{Path, PathBuf};

/// A trained model, its variant found from its file.
pub struct Predictor {
    network: Box<dyn Network>,
    path: PathBuf,
    /// As the file has it.
    trained_size: Option<String>,
    trained_reading: ReadOptions,
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
    /// How image files are read, and the masks whose sizes are wanted.
    pub read: ReadOptions,
}

impl Default for PredictOptions {
    /// The paper's: side 352, the plain map; files as Pillow reads them.
    fn default() -> Self {
        Self { size: 352, stretch: false, threshold: None, read: ReadOptions::default() }
    }
}

impl Predictor {
    /// Reads a SAM2-UNet checkpoint of one class, ours or the published `.pth`, to compute on `device` in `precision`,
    /// or in what the file was trained in, where the device offers it ([`precision`](Self::precision) tells).
    ///
    /// # Errors
    /// When the file is damaged, or holds no SAM2-UNet of a known variant.
    pub fn open(path: &Path, device: &Device, precision: Option<Precision>) -> Result<Self, PredictError> {
        let file = WeightFile::open(path)?;
        let variant = detect(&file, &catalogue())?;
        let (mut weights, _) = load(&file, &specs(variant, 1), Scope::All)?;
        let build = |source| PredictError::Build { path: path.to_path_buf(), source };
        let trained = file.metadata().get("precision").and_then(|name| name.parse().ok());
        let precision = precision.or(trained).unwrap_or_default();
        let network = device.network(variant, &mut weights, 1, precision).map_err(build)?;
        let trained_size = file.metadata().get("size").cloned();
        let trained_reading = ReadOptions::of_metadata(file.metadata());
        Ok(Self { network, path: path.to_path_buf(), trained_size, trained_reading })
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

    /// How the images that the model was trained on were read, as its file tells; the default where it does not.
    pub fn trained_reading(&self) -> ReadOptions {
        self.trained_reading
    }

    /// The mask of one image, at the image's size.
    ///
    /// # Errors
    /// When `options.size` is not a supported side.
    pub fn mask(&self, image: &Rgb, options: &PredictOptions) -> Result<Grey, PredictError> {
        self.mask_at(image, image.size(), options)
    }

    /// The mask of one image at another size, `(width, height)`: logits are resized to it before the sigmoid, as the
    /// published script does with the size of the true mask.
    ///
    /// # Errors
    /// When `options.size` is not a supported side.
    pub fn mask_at(
        &self,
        image: &Rgb,
        (width, height): (usize, usize),
        options: &PredictOptions,
    ) -> Result<Grey, PredictError> {
        let size = options.size;
        // before memory is asked for
        check_side(size).map_err(NetworkError::from)?;
        let input = normalise(&image.resize(size, size, Filter::Bilinear));
        let logits = self.network.logits(&input, 1, size)?;
        let mut mask = saved_mask(&logits, size, width, height, options.stretch);
        if let Some(threshold) = options.threshold {
            for v in &mut mask.data {
                *v = if f32::from(*v) >= threshold * 255.0 { 255 } else { 0 };
            }
        }
        Ok(mask)
    }

    /// Reads the job's image and writes its mask, and its overlay if there is to be one, in folders made as needed.
    /// Both have the size of the image as it was read (an EXIF orientation that is applied turns it), or of the mask
    /// `job.like`; the image under an overlay is resized to it. Says what is known of the image.
    ///
    /// # Errors
    /// When the image cannot be read or the mask not be written; either is named.
    pub fn run(&self, job: &Job, options: &PredictOptions) -> Result<PictureFacts, PredictError> {
        let (image, facts) = read_rgb_with(&job.image, &options.read)?;
        let facts = PictureFacts::of(image.size(), &facts);
        let size = match &job.like {
            Some(mask) => picture_size(mask, &options.read)?,
            None => image.size(),
        };
        let mask = self.mask_at(&image, size, options)?;
        write_new(&job.mask, &mask, job.overwrite)?;
        if let Some(drawn) = &job.overlay {
            let under = if image.size() == size { image } else { image.resize(size.0, size.1, Filter::Bilinear) };
            write_new(drawn, &overlay(&under, &mask), job.overwrite)?;
        }
        Ok(facts)
    }
}

fn write_new<const C: usize>(path: &Path, picture: &Pixels<C>, overwrite: bool) -> Result<(), PredictError> {
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|source| PredictError::Folder { path: folder.to_path_buf(), source })?;
    check_target(path, overwrite)?;
    Ok(write_prediction(path, picture)?)
}
