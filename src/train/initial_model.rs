//! The model that a run begins with, or goes on with.

use std::path::{Path, PathBuf};

use super::adamw::AdamWConfig;
use super::learner::{LearnError, Learner};
use super::note::Note;
use super::prepare_error::PrepareError;
use super::session::{TrainedClasses, open_session_on};
use super::settings::settings::Settings;
use super::together::ranks::Ranks;
use super::together::told_source::ToldSource;
use crate::checkpoint::detect::detect;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::{FoundAs, find_model};
use crate::checkpoint::load::{Scope, classes_of, load};
use crate::checkpoint::report::Report;
use crate::data::classes::class::Classes;
use crate::device::Device;
use crate::nn::network::{catalogue, specs};
use crate::nn::weights::build::BuildOptions;
use crate::nn::weights::initialiser::Initialiser;
use crate::nn::weights::source::WeightSource;

/// For people: `3 exclusive classes (background, cat, dog)`.
pub(super) fn told_classes(classes: Option<&Classes>) -> String {
    classes.map_or("one class without a name".to_string(), Classes::told)
}

/// Whether both are of the same classes in the same order; `None` is one without a name.
pub(super) fn are_alike(one: Option<&Classes>, other: Option<&Classes>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_like(other),
        _ => false,
    }
}

/// That a run goes on with the classes that it had, in their order: each output of the model is one of them.
fn check_same_classes(path: &Path, run: Option<&Classes>, now: Option<&Classes>) -> Result<(), PrepareError> {
    match are_alike(run, now) {
        true => Ok(()),
        false => {
            Err(PrepareError::ClassesChanged { path: path.to_owned(), run: told_classes(run), now: told_classes(now) })
        }
    }
}

/// What the classes of a model are whose heads say something else than those of the run, so that they are not taken: `found` is
/// the number of its outputs, `told` what its file says of them.
fn other_classes(found: Option<usize>, told: Option<&Classes>, run: Option<&Classes>) -> Option<String> {
    let count = run.map_or(1, Classes::len);
    match (found, told) {
        (_, Some(told)) if run.is_some_and(|run| run.is_like(told)) => None,
        // one class is one class, whatever its name
        (Some(1), _) if count == 1 => None,
        (_, Some(told)) => Some(told.told()),
        (Some(found), None) if found != count => Some(match found {
            1 => told_classes(None),
            _ => format!("{found} classes"),
        }),
        _ => None,
    }
}

/// Builds the model of `settings` on `device` with its optimiser: from the checkpoint `saved`, if there is one, otherwise from
/// `init`, from `backbone` with random adapters and decoder, or all random. Gives what was found in the file that was read, if any.
///
/// # Errors
/// When a file cannot be read or does not fit the variant, or the device fails.
pub(super) fn open_learner(
    settings: &Settings,
    device: &Device,
    classes: &TrainedClasses,
    named: Option<&Classes>,
    saved: Option<&Path>,
    ranks: &Ranks,
    note: &mut dyn FnMut(Note),
) -> Result<(Box<dyn Learner>, Option<Report>), PrepareError> {
    let mut random = Initialiser::new(settings.seed);
    let whole = saved.or(settings.init.as_deref());
    let mut find = |path: &Path| -> Result<PathBuf, CheckpointError> {
        let found = find_model(path)?;
        if found.kind != FoundAs::Given {
            note(Note::Found(found.clone()));
        }
        Ok(found.path)
    };
    let (learner, report) = match (whole, &settings.backbone) {
        (Some(path), _) => {
            let path = find(path)?;
            let file = WeightFile::open(&path)?;
            let told = Classes::of_metadata(file.metadata()).unwrap_or_default();
            if saved.is_some() {
                check_same_classes(&path, told.as_ref(), named)?;
            }
            let other = other_classes(classes_of(&file), told.as_ref(), named).filter(|_| saved.is_none());
            let scope = if other.is_some() { Scope::AllButHeads } else { Scope::All };
            let opened = from_file(settings, device, classes, &file, scope, &mut random, ranks)?;
            if let Some(found) = other {
                note(Note::OtherClasses { path, found, wanted: told_classes(named) });
            }
            opened
        }
        (None, Some(path)) => {
            let file = WeightFile::open(&find(path)?)?;
            from_file(settings, device, classes, &file, Scope::Trunk, &mut random, ranks)?
        }
        (None, None) => (open(settings, device, classes, &mut random, ranks), None),
    };
    Ok((learner?, report))
}

type Opened = Result<Box<dyn Learner>, LearnError>;

/// The file gives what is in `scope`, `rest` gives everything else.
fn from_file(
    settings: &Settings,
    device: &Device,
    classes: &TrainedClasses,
    file: &WeightFile,
    scope: Scope,
    rest: &mut dyn WeightSource,
    ranks: &Ranks,
) -> Result<(Opened, Option<Report>), PrepareError> {
    let loaded = load(file, &specs(settings.variant, classes.count), scope);
    if let Err(CheckpointError::Mismatch { .. }) = &loaded
        && let Ok(found) = detect(file, &catalogue())
        && found != settings.variant
    {
        let (path, wanted) = (file.path().to_owned(), settings.variant.to_string());
        return Err(PrepareError::OtherVariant { path, found: found.to_string(), wanted });
    }
    let (loaded, report) = loaded?;
    Ok((open(settings, device, classes, &mut loaded.with_rest(rest), ranks), Some(report)))
}

/// The model that rank 0 tells weight by weight, on another rank.
///
/// # Errors
/// When rank 0 cannot, or the device fails.
pub(super) fn open_told(settings: &Settings, device: &Device, classes: &TrainedClasses, ranks: &Ranks) -> Opened {
    built(settings, device, classes, &mut ToldSource::told(ranks))
}

/// The model of these weights, which the other ranks are told.
fn open(
    settings: &Settings,
    device: &Device,
    classes: &TrainedClasses,
    source: &mut dyn WeightSource,
    ranks: &Ranks,
) -> Opened {
    match ranks.are_several() {
        true => built(settings, device, classes, &mut ToldSource::telling(ranks, source)),
        false => built(settings, device, classes, source),
    }
}

fn built(settings: &Settings, device: &Device, classes: &TrainedClasses, source: &mut dyn WeightSource) -> Opened {
    let config = AdamWConfig { weight_decay: settings.weight_decay, ..AdamWConfig::default() };
    let compute = BuildOptions { precision: settings.precision, memory: settings.memory };
    open_session_on(device, settings.variant, source, classes, config, compute)
}
