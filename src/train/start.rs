//! The model that a run starts from.

use std::path::{Path, PathBuf};

use super::adamw::AdamWConfig;
use super::learner::{LearnError, Learner};
use super::run_folder::folder::RunFolder;
use super::session::open_session_on;
use super::settings::settings::Settings;
use crate::checkpoint::detect::detect;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::load::{Scope, load};
use crate::checkpoint::report::Report;
use crate::device::{Device, DeviceError};
use crate::nn::network::catalogue;
use crate::nn::weights::build::BuildOptions;
use crate::nn::weights::initialiser::Initialiser;
use crate::nn::weights::source::WeightSource;
use crate::nn::weights::spec::WeightSpec;

/// Why there is no model to start from.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A weight file does not serve.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model could not be built.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A weight file is of another variant than the run.
    #[error("{} is of the variant {found}, the run of {wanted}", path.display())]
    OtherVariant {
        /// The file.
        path: PathBuf,
        /// Its variant.
        found: String,
        /// The run's.
        wanted: String,
    },
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// No variant has that name.
    #[error("there is no variant `{0}`")]
    Variant(String),
}

/// Builds the model of `settings` on `device` with its optimiser: from the checkpoint of `resumed`, if there is
/// one, otherwise from `init`, from `backbone` with random adapters and decoder, or all random. Gives
/// what was found in the file that was read, if any.
///
/// # Errors
/// When a file cannot be read or does not fit the variant, or the device fails.
pub fn open_learner(
    settings: &Settings,
    device: &Device,
    resumed: Option<&RunFolder>,
) -> Result<(Box<dyn Learner>, Option<Report>), StartError> {
    let unknown = || StartError::Variant(settings.variant.clone());
    let specs = catalogue().into_iter().find(|(variant, _)| *variant == settings.variant);
    let (_, specs) = specs.ok_or_else(unknown)?;
    let checkpoint = resumed.map(RunFolder::last_model).filter(|path| path.exists());
    let mut random = Initialiser::new(settings.seed);
    let whole = checkpoint.as_deref().or(settings.init.as_deref());
    let (learner, report) = match (whole, &settings.backbone) {
        (Some(path), _) => from_file(settings, device, path, &specs, None)?,
        (None, Some(path)) => from_file(settings, device, path, &specs, Some(&mut random))?,
        (None, None) => (open(settings, device, &mut random), None),
    };
    Ok((learner.ok_or_else(unknown)??, report))
}

type Opened = Option<Result<Box<dyn Learner>, LearnError>>;

/// With `rest` the file gives the trunk only.
fn from_file(
    settings: &Settings,
    device: &Device,
    path: &Path,
    specs: &[WeightSpec],
    rest: Option<&mut dyn WeightSource>,
) -> Result<(Opened, Option<Report>), StartError> {
    let file = WeightFile::open(path)?;
    let scope = if rest.is_some() { Scope::Trunk } else { Scope::All };
    let loaded = load(&file, specs, scope);
    if let Err(CheckpointError::Mismatch { .. }) = &loaded
        && let Ok(found) = detect(&file, &catalogue())
        && found != settings.variant
    {
        let (path, wanted) = (path.to_owned(), settings.variant.clone());
        return Err(StartError::OtherVariant { path, found: found.to_string(), wanted });
    }
    let (mut loaded, report) = loaded?;
    let learner = match rest {
        Some(rest) => open(settings, device, &mut loaded.with_rest(rest)),
        None => open(settings, device, &mut loaded),
    };
    Ok((learner, Some(report)))
}

fn open(settings: &Settings, device: &Device, source: &mut dyn WeightSource) -> Opened {
    let config = AdamWConfig { weight_decay: settings.weight_decay, ..AdamWConfig::default() };
    let compute = BuildOptions { precision: settings.precision, memory: settings.memory };
    open_session_on(device, &settings.variant, source, config, compute)
}
