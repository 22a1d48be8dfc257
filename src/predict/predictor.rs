//! A model that makes masks of images, and their files.

use super::error::PredictError;
use super::existing::check_target;
use super::job::{Job, ProbabilityFiles, ProbabilityFormat};
use super::options::PredictOptions;
use super::prediction::Prediction;
use crate::checkpoint::classes::FileClasses;
use crate::checkpoint::detect::detect;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::load::{Scope, load};
use crate::data::class_picture::{class_overlay, with_legend};
use crate::data::classes::class::Classes;
use crate::data::dataset::{is_same_shape, turned};
use crate::data::error::DataError;
use crate::data::example::{check_normalisation, normalise};
use crate::data::float_tiff::write_floats;
use crate::data::pair_facts::PictureFacts;
use crate::data::picture::overlay;
use crate::data::pixels::{Grey, Rgb};
use crate::data::read::facts::{FileFacts, ReadOptions};
use crate::data::read::{read_grey_with, read_rgb_with};
use crate::data::resize::Filter;
use crate::data::size::picture_size;
use crate::data::truth::Truth;
use crate::data::write::{write_class_mask, write_index, write_prediction};
use crate::device::Device;
use crate::files::folder::parent;
use crate::kernels::precision::Precision;
use crate::nn::network::{Network, NetworkError, catalogue, specs};
use crate::nn::shape::{SIDES, check_side};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// A trained model, its variant found from its file.
pub struct Predictor {
    network: Box<dyn Network>,
    classes: FileClasses,
    path: PathBuf,
    /// As the file has it.
    trained_size: Option<String>,
    trained_reading: ReadOptions,
}

impl Predictor {
    /// Reads a SAM2-UNet checkpoint of any number of classes, ours or the published `.pth`, to compute on `device` in
    /// `precision`, or in what the file was trained in, where the device offers it ([`precision`](Self::precision) tells).
    ///
    /// # Errors
    /// When the file is damaged, or holds no SAM2-UNet of a known variant, or its metadata tell of other classes than its heads have, or of
    /// images normalised otherwise.
    pub fn open(path: &Path, device: &Device, precision: Option<Precision>) -> Result<Self, PredictError> {
        Self::of_file(&WeightFile::open(path)?, device, precision)
    }

    /// The same of a file that is open.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_file(file: &WeightFile, device: &Device, precision: Option<Precision>) -> Result<Self, PredictError> {
        let path = file.path();
        let variant = detect(file, &catalogue())?;
        let classes = FileClasses::of(file)?;
        let unsupported = |reason| CheckpointError::Unsupported { path: path.to_path_buf(), reason };
        check_normalisation(file.metadata()).map_err(unsupported)?;
        let (mut weights, _) = load(file, &specs(variant, classes.channels()), Scope::All)?;
        let build = |source| PredictError::Build { path: path.to_path_buf(), source };
        let trained = file.metadata().get("precision").and_then(|name| name.parse().ok());
        let precision = precision.or(trained).unwrap_or_default();
        let network = device.network(variant, &mut weights, classes.channels(), precision).map_err(build)?;
        let trained_size = file.metadata().get("size").cloned();
        let trained_reading = ReadOptions::of_metadata(file.metadata());
        Ok(Self { network, classes, path: path.to_path_buf(), trained_size, trained_reading })
    }

    /// The variant's name.
    pub fn variant(&self) -> &'static str {
        self.network.variant()
    }

    /// Its classes; `None`: it is one without a name.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes.classes()
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

    /// What the model says of one image.
    ///
    /// # Errors
    /// When `options.size` is not a supported side, and as [`PredictOptions::check`].
    pub fn predict(&self, image: &Rgb, options: &PredictOptions) -> Result<Prediction<'_>, PredictError> {
        let (size, classes) = (options.size, self.classes());
        options.check(classes)?;
        // before memory is asked for
        check_side(size).map_err(NetworkError::from)?;
        let input = normalise(&image.resize(size, size, Filter::Bilinear));
        let logits = self.network.logits(&input, 1, size)?;
        Ok(Prediction { logits, classes, options: *options })
    }

    /// The mask of one image, at the image's size, of a model of one class.
    ///
    /// # Errors
    /// As [`mask_at`](Self::mask_at).
    pub fn mask(&self, image: &Rgb, options: &PredictOptions) -> Result<Grey, PredictError> {
        self.mask_at(image, image.size(), options)
    }

    /// The mask of one image at another size, `(width, height)`, of a model of one class: logits are resized to it before the
    /// sigmoid, as the published script does with the size of the true mask.
    ///
    /// # Errors
    /// When `options.size` is not a supported side, and when the model has several classes (see [`predict`](Self::predict)).
    pub fn mask_at(&self, image: &Rgb, size: (usize, usize), options: &PredictOptions) -> Result<Grey, PredictError> {
        match self.classes.channels() {
            // of one class it is the mask
            1 => Ok(self.predict(image, options)?.at(size).into_mask()),
            several => Err(PredictError::SeveralClasses(several)),
        }
    }

    /// Reads the job's image and writes its masks, and its probabilities and its overlay if there are to be such, in folders made as
    /// needed. All have the size of the image as it was read (an EXIF orientation that is applied turns it), or of the mask
    /// `job.like`; the image under an overlay is resized to it, and a legend of the classes, if they have names, stands below. Says
    /// what is known of the image.
    ///
    /// # Errors
    /// When the image cannot be read or a file not be written; either is named. When the job was planned for other classes, and as
    /// [`predict`](Self::predict).
    pub fn run(&self, job: &Job, options: &PredictOptions) -> Result<PictureFacts, PredictError> {
        let (image, file_facts) = read_rgb_with(&job.image, &options.read)?;
        let facts = PictureFacts::of(image.size(), &file_facts);
        let size = match &job.like {
            Some(mask) => size_like(mask, (&job.image, image.size(), &file_facts), &options.read)?,
            None => image.size(),
        };
        let prediction = self.predict(&image, options)?;
        let said = prediction.at(size);
        self.write_masks(job, &said)?;
        if let Some(files) = &job.probabilities {
            self.write_probabilities(job, files, &prediction, size)?;
        }
        if let Some(drawn) = &job.overlay {
            let under = if image.size() == size { image } else { image.resize(size.0, size.1, Filter::Bilinear) };
            let picture = match self.classes() {
                Some(classes) => with_legend(&class_overlay(&under, &said, classes), classes),
                None => overlay(&under, &said.into_mask()),
            };
            write_new(drawn, job, |path| write_prediction(path, &picture))?;
        }
        Ok(facts)
    }

    fn write_masks(&self, job: &Job, said: &Truth) -> Result<(), PredictError> {
        let masks: Vec<&Grey> = match said {
            Truth::Mask(map) | Truth::MaskAndIgnored(map) | Truth::Index(map) => vec![map],
            Truth::Labels { masks, .. } => masks.iter().collect(),
        };
        if masks.len() != job.masks.len() {
            return Err(PredictError::OtherClasses(job.image.clone()));
        }
        job.masks.iter().zip(masks).try_for_each(|(path, mask)| {
            write_new(path, job, |path| match (self.classes(), said) {
                (Some(classes), Truth::Index(_)) => write_index(path, mask, classes),
                (Some(classes), _) => write_class_mask(path, mask, classes),
                (None, _) => write_prediction(path, mask),
            })
        })
    }

    fn write_probabilities(
        &self,
        job: &Job,
        ProbabilityFiles { format, files }: &ProbabilityFiles,
        prediction: &Prediction,
        size: (usize, usize),
    ) -> Result<(), PredictError> {
        if files.len() != self.classes.channels() {
            return Err(PredictError::OtherClasses(job.image.clone()));
        }
        let (probabilities, classes) = (prediction.probabilities(size), self.classes());
        files.par_iter().enumerate().try_for_each(|(class, path)| {
            write_new(path, job, |path| match (format, classes) {
                (ProbabilityFormat::Tiff, _) => write_floats(path, size, &probabilities.class(class)),
                (ProbabilityFormat::Png, Some(classes)) => {
                    write_class_mask(path, &probabilities.levels(class), classes)
                }
                (ProbabilityFormat::Png, None) => write_prediction(path, &probabilities.levels(class)),
            })
        })
    }
}

/// The size of a mask that a prediction of this image takes.
///
/// # Errors
/// When the mask fits the image only if one of the two is turned: the prediction would be stretched into the other one's shape.
fn size_like(
    mask: &Path,
    image: (&Path, (usize, usize), &FileFacts),
    read: &ReadOptions,
) -> Result<(usize, usize), PredictError> {
    let size = picture_size(mask, read)?;
    let (_, (width, height), _) = image;
    if !is_same_shape((width, height), size) && is_same_shape((height, width), size) {
        let (_, facts) = read_grey_with(mask, read)?;
        if let Some(error) = turned(image, (mask, size, Some(&facts))) {
            return Err(error.into());
        }
    }
    Ok(size)
}

/// Writes a file of the job, in a folder made if need be.
fn write_new(path: &Path, job: &Job, write: impl FnOnce(&Path) -> Result<(), DataError>) -> Result<(), PredictError> {
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|source| PredictError::Folder { path: folder.to_path_buf(), source })?;
    check_target(path, job.overwrite)?;
    Ok(write(path)?)
}
