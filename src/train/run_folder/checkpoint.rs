//! A checkpoint: the model, what its optimiser gathered, and the position.

use std::collections::BTreeMap;
use std::path::Path;

use super::checkpoints::Checkpoints;
use super::error::FolderError;
use super::names::{OPTIMISER, STATE};
use super::state::State;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::MODEL;
use crate::checkpoint::safetensors::write::save;
use crate::files::replace::Replacement;
use crate::files::write::write_in_own_folder;
use crate::nn::weights::spec::{Role, Value, WeightSpec};
use crate::train::learner::Learner;

/// What PyTorch calls the first and the second moment.
const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// Writes the checkpoint of `state`, which gets its name when all of it is there; a folder of that name is discarded then.
///
/// # Errors
/// When a weight is not finite, or something cannot be written.
pub(super) fn write(
    learner: &dyn Learner,
    state: &State,
    metadata: &BTreeMap<String, String>,
    checkpoints: &Checkpoints,
) -> Result<(), FolderError> {
    check_finite(learner)?;
    let place = checkpoints.place(state.step);
    let failed = |source| FolderError::Write { path: place.clone(), source };
    let staged = Replacement::folder(&place).map_err(failed)?;
    write_model(learner, staged.path(), metadata)?;
    write_moments(learner, staged.path())?;
    write_state(staged.path(), state)?;
    if place.exists() {
        // a part of one: of a copy that was cut off, or a best model of an earlier version, which had nothing beside it; or one of a
        // run that was gone back from
        checkpoints.discard(&place)?;
    }
    staged.commit().map_err(failed)
}

/// Writes the position of the checkpoint in `folder`, in place of the one before.
pub(super) fn write_state(folder: &Path, state: &State) -> Result<(), FolderError> {
    let path = folder.join(STATE);
    write_in_own_folder(&path, state.to_text()).map_err(|source| FolderError::Write { path, source })
}

/// Writes the model into `folder`.
fn write_model(learner: &dyn Learner, folder: &Path, metadata: &BTreeMap<String, String>) -> Result<(), FolderError> {
    let each_value = |put: &mut dyn FnMut(WeightSpec, Value)| learner.each_value(put);
    Ok(save(&folder.join(MODEL), &learner.specs(), each_value, metadata)?)
}

/// Writes the optimiser's moments and step count into `folder`.
fn write_moments(learner: &dyn Learner, folder: &Path) -> Result<(), FolderError> {
    let spec = |moment: &str, name: &str, count: usize| WeightSpec {
        name: format!("{moment}.{name}"),
        shape: vec![count],
        role: Role::Statistic,
    };
    let mut specs = Vec::new();
    let mut numbers = Vec::new();
    learner.each_moment(&mut |name, first, second| {
        specs.extend(MOMENTS.map(|moment| spec(moment, name, first.len())));
        numbers.extend([first, second].map(|values| Value::Real(values.to_vec())));
    })?;
    let each_value = |put: &mut dyn FnMut(WeightSpec, Value)| {
        specs.iter().cloned().zip(numbers).for_each(|(spec, value)| put(spec, value));
    };
    let metadata = BTreeMap::from([("steps".to_string(), learner.optimiser_steps().to_string())]);
    Ok(save(&folder.join(OPTIMISER), &specs, each_value, &metadata)?)
}

/// Puts the moments and the step count of the checkpoint in `folder` into `learner`.
///
/// # Errors
/// When the file cannot be read or is not one of this model.
pub(super) fn restore_optimiser(folder: &Path, learner: &mut dyn Learner) -> Result<(), FolderError> {
    let optimiser = WeightFile::open(&folder.join(OPTIMISER))?;
    let steps = optimiser_steps(&optimiser)?;
    let mut moments = |name: &str| {
        let [first, second] = MOMENTS.map(|moment| optimiser.values(&format!("{moment}.{name}")).ok());
        Some((first?, second?))
    };
    Ok(learner.restore_optimiser(&mut moments, steps)?)
}

/// After how many updates an optimiser's file was written.
fn optimiser_steps(optimiser: &WeightFile) -> Result<u64, FolderError> {
    let steps = optimiser.metadata().get("steps").and_then(|steps| steps.parse().ok());
    steps.ok_or_else(|| FolderError::Damaged {
        path: optimiser.path().to_owned(),
        reason: "it does not say after how many steps it was written (`steps` in its metadata)".to_string(),
    })
}

/// Sees whether the three files of the checkpoint in `folder` are of one step; `step` is what its position says. Models of early
/// versions say none.
///
/// # Errors
/// When they are not, or a file cannot be read.
pub(super) fn check_steps(folder: &Path, step: u64) -> Result<(), FolderError> {
    let model = WeightFile::open(&folder.join(MODEL))?;
    let model = model.metadata().get("step").map(|step| shown_step(step));
    let optimiser = optimiser_steps(&WeightFile::open(&folder.join(OPTIMISER))?)?;
    let own = step.to_string();
    if optimiser == step && model.as_ref().is_none_or(|model| *model == own) {
        return Ok(());
    }
    Err(FolderError::MixedSteps { path: folder.to_owned(), model: model.unwrap_or(own), optimiser, state: step })
}

/// A step as it can be shown: digits, and not many.
fn shown_step(text: &str) -> String {
    text.chars().take(24).flat_map(char::escape_debug).collect()
}

/// A finite loss can have an infinite gradient: then the next loss tells, but no checkpoint must.
fn check_finite(learner: &dyn Learner) -> Result<(), FolderError> {
    let mut bad = None;
    learner.each_value(&mut |spec, value| {
        let changes = matches!(spec.role, Role::Trainable | Role::Statistic);
        if let Value::Real(numbers) = value
            && changes
            && bad.is_none()
            && numbers.iter().any(|x| !x.is_finite())
        {
            bad = Some(spec.name);
        }
    });
    bad.map_or(Ok(()), |name| Err(FolderError::NotFinite { name }))
}
