//! Which settings go together, and what their ranges are.

use super::error::{Problem, SettingsError};
use super::of_classes::WeightsOfClasses;
use super::origin::Origin;
use super::settings::Settings;
use super::sides::{SIDE_UNIT, largest_side, nearest_sides};
use super::value::EMPTY_PATH;
use crate::data::labels::kind::LabelKind;
use crate::data::multi_scale::MultiScale;
use crate::nn::shape::SIDES;

// More of each is a slip of the keyboard, and what is counted in memory must not take all of it before anybody notices.
const MOST_THREADS: usize = 1024;
const MOST_IN_A_BATCH: usize = 65_536;
const MOST_BATCHES_IN_A_STEP: usize = 65_536;
/// Images of a generated set: each has a name.
const MOST_GENERATED: usize = 1_000_000;
/// Two years between two saves.
const MOST_MINUTES: f64 = 1e6;

impl Settings {
    /// Whether a run can be trained with these settings. `own_images` says that a program gives the images itself.
    ///
    /// # Errors
    /// The first value that is out of range, or the first conflict.
    pub fn check(&self, own_images: bool) -> Result<(), SettingsError> {
        check(self, own_images).map_err(|problem| SettingsError::Value { origin: Origin::Given, problem })
    }

    /// Whether neither a folder of images nor generated scenes are named: then a program gives the images itself.
    pub(in crate::train) fn names_no_images(&self) -> bool {
        !self.names_files() && self.generated.is_none()
    }

    /// Whether images in files are named.
    pub(in crate::train) fn names_files(&self) -> bool {
        self.data.is_some() || self.images.is_some()
    }

    /// Makes paths absolute, so that a run can be resumed from any folder.
    pub(in crate::train) fn make_absolute(&mut self) {
        self.each_path(&mut |_, path| {
            // fails only for an empty path, which the one who opens it will refuse
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        });
    }
}

/// The first value that is out of range, or the first conflict, is the error.
pub(super) fn check(settings: &Settings, own_images: bool) -> Result<(), Problem> {
    check_sources(settings, own_images)?;
    if !SIDES.contains(&settings.size) {
        let (below, above) = nearest_sides(settings.size);
        let (least, most) = (SIDES[0], largest_side());
        let reason = format!(
            "the side must be a multiple of {SIDE_UNIT} from {least} to {most}; the nearest are {below} and {above}"
        );
        return Err(Problem { key: "size", value: Some(settings.size.to_string()), reason });
    }
    if settings.multi_scale != MultiScale::Off && !SIDES.contains(&settings.larger_side()) {
        let reason = format!(
            "1.25 times the `size` {} is {}, beyond the largest side, {}; choose a smaller `size`",
            settings.size,
            settings.larger_side(),
            largest_side(),
        );
        return Err(Problem { key: "multi_scale", value: Some(settings.multi_scale.to_string()), reason });
    }
    let mut unreadable = None;
    settings.clone().each_path(&mut |key, path| {
        let reason = match path.to_str() {
            Some("") => EMPTY_PATH,
            Some(_) => return,
            None => "config.toml holds UTF-8 only; rename it",
        };
        let (value, reason) = (Some(path.display().to_string()), reason.to_string());
        unreadable.get_or_insert(Problem { key, value, reason });
    });
    if let Some(problem) = unreadable {
        return Err(problem);
    }
    if settings.epochs.is_none() && settings.steps.is_none() {
        return conflict("epochs", "neither `epochs` nor `steps` say how long to train");
    }
    let counts = [
        ("epochs", settings.epochs, u64::MAX),
        ("steps", settings.steps, u64::MAX),
        ("batch_size", Some(settings.batch_size as u64), MOST_IN_A_BATCH as u64),
        ("accumulate", Some(settings.accumulate as u64), MOST_BATCHES_IN_A_STEP as u64),
        ("keep", Some(settings.keep as u64), u64::MAX),
        ("threads", settings.threads.map(|n| n as u64), MOST_THREADS as u64),
    ];
    for (key, value, most) in counts {
        match value {
            Some(0) => return Err(range(key, 0, "at least 1")),
            Some(value) if value > most => return Err(range(key, value, &format!("at most {most}"))),
            _ => {}
        }
    }
    if settings.seed > i64::MAX as u64 {
        return Err(range("seed", settings.seed, "at most 9223372036854775807, TOML's largest number"));
    }
    if !(settings.lr.is_finite() && settings.lr > 0.0) {
        return Err(range("lr", settings.lr, "a positive number, for example 1e-3"));
    }
    if !(settings.weight_decay.is_finite() && settings.weight_decay >= 0.0) {
        return Err(range("weight_decay", settings.weight_decay, "a number of at least 0, for example 5e-4"));
    }
    if !(0.0..=MOST_MINUTES).contains(&settings.checkpoint_minutes) {
        return Err(range("checkpoint_minutes", settings.checkpoint_minutes, "a number from 0 to 1000000"));
    }
    Ok(())
}

fn check_sources(settings: &Settings, own_images: bool) -> Result<(), Problem> {
    if settings.backbone.is_some() && settings.init.is_some() {
        return conflict(
            "backbone",
            "`backbone` and `init` exclude each other: a checkpoint given as `init` holds the trunk too",
        );
    }
    let describes = [
        ("data", settings.data.is_some()),
        ("images", settings.images.is_some()),
        ("masks", settings.masks.is_some()),
        ("val_images", settings.val_images.is_some()),
        ("val_masks", settings.val_masks.is_some()),
        ("val_fraction", settings.val_fraction.is_some()),
        ("train_list", settings.train_list.is_some()),
        ("val_list", settings.val_list.is_some()),
        ("labels", settings.labels.is_some()),
        ("classes", settings.classes.is_some()),
        ("ignore", settings.ignore.is_some()),
        ("mask_suffix", settings.mask_suffix.is_some()),
        ("annotations", settings.annotations.is_some()),
        ("overlapping", settings.overlapping),
    ];
    check_class_weights(settings)?;
    let mut described = describes.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
    if own_images {
        let generates = [("demo", settings.demo.is_some()), ("generated", settings.generated.is_some())];
        let generates = generates.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
        return match described.chain(generates).next() {
            Some(key) => conflict(key, &format!("`{key}` is given, but the program gives the images itself")),
            None => Ok(()),
        };
    }
    let named = settings.names_files();
    if settings.data.is_some() {
        let finds = [
            ("images", settings.images.is_some()),
            ("masks", settings.masks.is_some()),
            ("annotations", settings.annotations.is_some() && settings.val_images.is_none()),
        ];
        if let Some((key, _)) = finds.iter().find(|(_, given)| *given) {
            return conflict(key, &format!("`data` and `{key}` exclude each other: the first finds the second"));
        }
    }
    match (&settings.images, &settings.masks) {
        (None, Some(_)) => return conflict("masks", "`masks` needs `images`: the folder with the image of each mask"),
        (Some(_), None) if settings.annotations.is_none() && settings.labels != Some(LabelKind::Labelme) => {
            return conflict(
                "images",
                "`images` needs `masks`: the folder with the mask of each image (or `annotations`: a COCO file, or a folder of \
                 Labelme files)",
            );
        }
        (Some(_), Some(_)) if settings.annotations.is_some() => {
            return conflict(
                "annotations",
                "`annotations` and `masks` exclude each other: labels come from one of them",
            );
        }
        _ => {}
    }
    match (&settings.val_images, &settings.val_masks) {
        (Some(_), None) if settings.annotations.is_none() && settings.labels != Some(LabelKind::Labelme) => {
            return conflict("val_images", "`val_images` needs `val_masks`");
        }
        (None, Some(_)) => return conflict("val_masks", "`val_masks` needs `val_images`"),
        (Some(_), _) if !named => {
            return conflict(
                "val_images",
                "`val_images` needs `images`: without them the run trains and validates on generated scenes",
            );
        }
        _ => {}
    }
    if !named && let Some(key) = described.next() {
        return conflict(key, &format!("`{key}` needs `images` or `data`: without them the run generates its scenes"));
    }
    if let Some(fraction) = settings.val_fraction {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(range("val_fraction", fraction, "above 0 and below 1, for example 0.1"));
        }
        for (key, given) in [("val_images", settings.val_images.is_some()), ("val_list", settings.val_list.is_some())] {
            if given {
                let reason = format!("`val_fraction` and `{key}` exclude each other: both say what to validate on");
                return conflict("val_fraction", &reason);
            }
        }
    }
    if !named && settings.task.is_some() {
        return conflict("task", "`task` needs `images` and `masks`");
    }
    if named && settings.demo.is_some() {
        return conflict("demo", "`demo` is for runs without `images`");
    }
    match (named, settings.generated) {
        (false, None) => {
            conflict("generated", "a run without `images` needs the sizes of its generated sets (`generated`)")
        }
        (false, Some(sets)) if sets.images == 0 || sets.val_images == 0 => {
            conflict("generated", "`generated`: both sets need at least one image")
        }
        (false, Some(sets)) if sets.images.max(sets.val_images) > MOST_GENERATED => {
            let (key, count) = match sets.images > MOST_GENERATED {
                true => ("images", sets.images),
                false => ("val_images", sets.val_images),
            };
            conflict("generated", &format!("`generated`: {key} = {count}: a set has at most {MOST_GENERATED} scenes"))
        }
        (true, Some(_)) => conflict("generated", "`generated` is for runs without `images`"),
        _ => Ok(()),
    }
}

fn check_class_weights(settings: &Settings) -> Result<(), Problem> {
    let Some(weights) = settings.class_weights.as_ref().and_then(WeightsOfClasses::numbers) else { return Ok(()) };
    // the loss computes in single precision
    let single = |weight: &f64| *weight as f32;
    if let Some(weight) = weights.iter().find(|weight| !(single(weight).is_finite() && single(weight) >= 0.0)) {
        return Err(range("class_weights", weight, "a number of at least 0 for each class"));
    }
    match weights.iter().all(|weight| single(weight) == 0.0) {
        true => conflict("class_weights", "`class_weights`: one of them must be above 0"),
        false => Ok(()),
    }
}

fn conflict(key: &'static str, reason: &str) -> Result<(), Problem> {
    Err(Problem { key, value: None, reason: reason.to_string() })
}

fn range(key: &'static str, value: impl ToString, range: &str) -> Problem {
    Problem { key, value: Some(value.to_string()), reason: format!("it must be {range}") }
}
