//! Which settings go together, and what their ranges are.

use super::error::SettingsError;
use super::settings::Settings;
use super::sides::{largest_side, nearest_sides};
use crate::data::multi_scale::MultiScale;
use crate::nn::shape::SIDES;
use crate::nn::variant::VARIANTS;

/// More threads are a slip of the keyboard.
const MOST_THREADS: usize = 1024;
/// Two years between two saves.
const MOST_MINUTES: f64 = 1e6;

/// Whether the settings can be trained with: the first value that is out of range, or the first conflict, is the error.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    check_sources(settings)?;
    if !VARIANTS.contains(&settings.variant.as_str()) {
        return Err(SettingsError::Choice {
            what: "variant",
            found: settings.variant.clone(),
            choices: VARIANTS.join(", "),
        });
    }
    if !SIDES.contains(&settings.size) {
        return Err(SettingsError::Size { size: settings.size, nearest: nearest_sides(settings.size) });
    }
    if settings.multi_scale != MultiScale::Off && !SIDES.contains(&settings.larger_side()) {
        return Err(SettingsError::Conflict(format!(
            "--multi-scale {}: 1.25 times --size {} is {}, beyond the largest side, {}; choose a smaller --size",
            settings.multi_scale.name(),
            settings.size,
            settings.larger_side(),
            largest_side(),
        )));
    }
    let paths = [
        ("images", &settings.images),
        ("masks", &settings.masks),
        ("val-images", &settings.val_images),
        ("val-masks", &settings.val_masks),
        ("backbone", &settings.backbone),
        ("init", &settings.init),
    ];
    for (flag, path) in paths {
        if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
            let path = path.display();
            return Err(SettingsError::Conflict(format!("--{flag} {path}: config.toml holds UTF-8 only; rename it")));
        }
    }
    if settings.epochs.is_none() && settings.steps.is_none() {
        return Err(SettingsError::Conflict("neither epochs nor steps say how long to train".to_string()));
    }
    let counts = [
        ("epochs", settings.epochs),
        ("steps", settings.steps),
        ("batch-size", Some(settings.batch_size as u64)),
        ("accumulate", Some(settings.accumulate as u64)),
        ("threads", settings.threads.map(|n| n as u64)),
    ];
    for (flag, value) in counts {
        if value == Some(0) {
            return Err(range(flag, 0, "at least 1"));
        }
    }
    if settings.threads.is_some_and(|threads| threads > MOST_THREADS) {
        return Err(range("threads", settings.threads.unwrap_or_default(), "at most 1024"));
    }
    if !(settings.lr.is_finite() && settings.lr > 0.0) {
        return Err(range("lr", settings.lr, "a positive number, for example 1e-3"));
    }
    if !(settings.weight_decay.is_finite() && settings.weight_decay >= 0.0) {
        return Err(range("weight-decay", settings.weight_decay, "a number of at least 0, for example 5e-4"));
    }
    if !(0.0..=MOST_MINUTES).contains(&settings.checkpoint_minutes) {
        return Err(range("checkpoint-minutes", settings.checkpoint_minutes, "a number from 0 to 1000000"));
    }
    Ok(())
}

fn check_sources(settings: &Settings) -> Result<(), SettingsError> {
    let conflict = |text: &str| Err(SettingsError::Conflict(text.to_string()));
    match (&settings.images, &settings.masks) {
        (Some(_), None) => return conflict("--images needs --masks: the folder with the mask of each image"),
        (None, Some(_)) => return conflict("--masks needs --images: the folder with the image of each mask"),
        _ => {}
    }
    match (&settings.val_images, &settings.val_masks) {
        (Some(_), None) => return conflict("--val-images needs --val-masks"),
        (None, Some(_)) => return conflict("--val-masks needs --val-images"),
        (Some(_), Some(_)) if settings.images.is_none() => {
            return conflict(
                "--val-images needs --images: without them the run trains and validates on generated scenes",
            );
        }
        _ => {}
    }
    if settings.images.is_none() && settings.task.is_some() {
        return conflict("--task needs --images and --masks");
    }
    if settings.backbone.is_some() && settings.init.is_some() {
        return conflict("--backbone and --init exclude each other: a checkpoint given to --init holds the trunk too");
    }
    match (settings.images.is_some(), settings.generated) {
        (false, None) => conflict("a run without images needs the sizes of its generated sets (`generated`)"),
        (false, Some(sets)) if sets.images == 0 || sets.val_images == 0 => {
            conflict("generated: both sets need at least one image")
        }
        (true, Some(_)) => conflict("`generated` is for runs without --images"),
        _ => Ok(()),
    }
}

fn range(flag: &'static str, value: impl ToString, range: &'static str) -> SettingsError {
    SettingsError::Range { flag, value: value.to_string(), range }
}
