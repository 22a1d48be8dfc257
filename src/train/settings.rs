//! A run's settings: what was asked for ([`Choices`]), made complete by presets ([`Settings`]).
//!
//! Flags win over a `--config` file, that over what the task needs, that over the preset.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::metrics::task::Task;
use crate::nn::ops::{Keep, LossFlavour};
use crate::nn::{Precision, SIDES, VARIANTS};

/// Sides are multiples of this.
const SIDE_UNIT: usize = 32;
/// More threads are a slip of the keyboard.
const MOST_THREADS: usize = 1024;
/// Two years between two saves.
const MOST_MINUTES: f64 = 1e6;
/// The second scale of multi-scale training, of the first (paper, section 4.1).
pub const LARGER_SCALE: f64 = 1.25;

/// Where a run without `--images` differs from one with images: generated scenes, small enough for a
/// few minutes on two cores.
pub mod demo {
    /// The smallest variant.
    pub const VARIANT: &str = "tiny";
    /// Side of an image.
    pub const SIZE: usize = 128;
    /// Images in a batch.
    pub const BATCH_SIZE: usize = 8;
    /// Generated training images: 24 steps an epoch.
    pub const IMAGES: usize = 192;
    /// Generated validation images.
    pub const VALIDATION_IMAGES: usize = 48;
    /// 144 steps.
    pub const EPOCHS: u64 = 6;
    /// Learning rate of the first epoch: the run is short.
    pub const LR: f64 = 2e-3;
    /// Seed of the training scenes, whatever the run's seed: runs of different seeds see one set.
    pub const TRAINING_SEED: u64 = 1;
    /// Seed of the validation scenes.
    pub const VALIDATION_SEED: u64 = 2;
}

/// How multi-scale training draws its sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiScale {
    /// One side.
    #[default]
    Off,
    /// Each batch at the side or at 1.25 times the side, drawn from seed, epoch and batch.
    Random,
    /// Each batch at both, an update each.
    Both,
}

/// A choice that files and flags know by a name.
pub trait Named: Copy + PartialEq + 'static {
    /// What is chosen, for messages.
    const WHAT: &'static str;
    /// Every name with its meaning.
    const NAMES: &'static [(&'static str, Self)];

    /// The name of this choice.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, choice)| *choice == self).map_or("", |(name, _)| name)
    }

    /// The choice of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    fn parse(text: &str) -> Result<Self, SettingsError> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
            SettingsError::Choice { what: Self::WHAT, found: text.to_string(), choices: choices::<Self>() }
        })
    }
}

fn choices<T: Named>() -> String {
    T::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl Named for MultiScale {
    const WHAT: &'static str = "multi-scale";
    const NAMES: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("random", Self::Random), ("both", Self::Both)];
}

impl Named for DeviceChoice {
    const WHAT: &'static str = "device";
    const NAMES: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("cpu", Self::Cpu), ("cuda", Self::Cuda)];
}

impl Named for Precision {
    const WHAT: &'static str = "precision";
    const NAMES: &'static [(&'static str, Self)] = Self::NAMES;
}

impl Named for Keep {
    const WHAT: &'static str = "memory";
    const NAMES: &'static [(&'static str, Self)] =
        &[("small", Self::Input), ("balanced", Self::Attention), ("fast", Self::Products)];
}

impl Named for LossFlavour {
    const WHAT: &'static str = "loss";
    const NAMES: &'static [(&'static str, Self)] =
        &[("paper", Self::Paper), ("published-script", Self::PublishedScript)];
}

impl Named for Task {
    const WHAT: &'static str = "task";
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Camouflage.name(), Self::Camouflage),
        (Self::Salient.name(), Self::Salient),
        (Self::Marine.name(), Self::Marine),
        (Self::Mirror.name(), Self::Mirror),
        (Self::Polyp.name(), Self::Polyp),
    ];
}

/// What the paper's section 4.1 sets for a task: epochs and multi-scale.
fn task_defaults(task: Task) -> (u64, MultiScale) {
    match task {
        Task::Camouflage | Task::Salient => (50, MultiScale::Off),
        Task::Marine | Task::Mirror => (20, MultiScale::Off),
        Task::Polyp => (20, MultiScale::Random),
    }
}

/// What was asked for: the flags of `train`, or the keys of a `--config` file. Everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each field is described where it is resolved, in `Settings`")]
pub struct Choices {
    pub images: Option<PathBuf>,
    pub masks: Option<PathBuf>,
    pub val_images: Option<PathBuf>,
    pub val_masks: Option<PathBuf>,
    #[serde(with = "by_name::optional")]
    pub task: Option<Task>,
    pub variant: Option<String>,
    pub size: Option<usize>,
    pub epochs: Option<u64>,
    pub steps: Option<u64>,
    pub batch_size: Option<usize>,
    pub accumulate: Option<usize>,
    pub lr: Option<f64>,
    pub weight_decay: Option<f64>,
    pub backbone: Option<PathBuf>,
    pub init: Option<PathBuf>,
    pub seed: Option<u64>,
    #[serde(with = "by_name::optional")]
    pub loss: Option<LossFlavour>,
    #[serde(with = "by_name::optional")]
    pub multi_scale: Option<MultiScale>,
    pub shuffle: Option<bool>,
    pub augment: Option<bool>,
    pub threads: Option<usize>,
    #[serde(with = "by_name::optional")]
    pub device: Option<DeviceChoice>,
    #[serde(with = "by_name::optional")]
    pub precision: Option<Precision>,
    #[serde(with = "by_name::optional")]
    pub memory: Option<Keep>,
    pub checkpoint_minutes: Option<f64>,
    pub generated: Option<Generated>,
}

/// Sizes of the generated sets that a run without images uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// Training images.
    pub images: usize,
    /// Validation images.
    pub val_images: usize,
}

/// A run's settings, complete and checked: what `config.toml` in its folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder of training images; absent for a run on generated scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Folder of their masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<PathBuf>,
    /// Folder of validation images; without it nothing is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_images: Option<PathBuf>,
    /// Folder of their masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_masks: Option<PathBuf>,
    /// The paper's task: decides epochs, multi-scale and the order of the metrics.
    #[serde(default, with = "by_name::optional", skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// `tiny`, `small`, `base-plus` or `large`.
    pub variant: String,
    /// Side of an input image in pixels.
    pub size: usize,
    /// Epochs, and the horizon of the learning rate's cosine. Absent where only `steps` was given: the
    /// horizon is then the epochs that so many steps need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Optimiser steps after which the run ends, if its epochs do not end it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images in a batch; an epoch's last may hold fewer.
    pub batch_size: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// Learning rate of the first epoch.
    pub lr: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// File of SAM2's image encoder for the trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<PathBuf>,
    /// SAM2-UNet checkpoint to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Seed of everything random.
    pub seed: u64,
    /// The paper's loss, or that of the published script.
    #[serde(with = "by_name")]
    pub loss: LossFlavour,
    /// How sides are drawn.
    #[serde(with = "by_name")]
    pub multi_scale: MultiScale,
    /// Whether an epoch visits its images in random order.
    pub shuffle: bool,
    /// Whether images are flipped at random.
    pub augment: bool,
    /// Threads to compute with; absent for all cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where to compute.
    #[serde(with = "by_name")]
    pub device: DeviceChoice,
    /// What the products are computed in.
    #[serde(default, with = "by_name")]
    pub precision: Precision,
    /// What a block keeps for the backward pass.
    #[serde(default, with = "by_name")]
    pub memory: Keep,
    /// Minutes between two saves of `last` inside an epoch; 0 saves after each step.
    pub checkpoint_minutes: f64,
    /// Sizes of the generated sets of a run without images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
}

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A settings file cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A settings file is no TOML, has an unknown key, or a value of the wrong type.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong there.
        reason: String,
    },
    /// A side that the network does not have.
    #[error(
        "--size {size}: the side must be a multiple of {SIDE_UNIT} from {} to {}; the nearest are {} and {}",
        SIDES[0],
        largest_side(),
        nearest.0,
        nearest.1
    )]
    Size {
        /// The side asked for.
        size: usize,
        /// The two nearest sides there are.
        nearest: (usize, usize),
    },
    /// A name that is not one of a list.
    #[error("{what}: there is no `{found}`; choose one of {choices}")]
    Choice {
        /// What was to be chosen.
        what: &'static str,
        /// The name given.
        found: String,
        /// The names there are.
        choices: String,
    },
    /// A number outside its range.
    #[error("--{flag} {value}: it must be {range}")]
    Range {
        /// The flag, which is the key in a settings file with `-` for `_`.
        flag: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Settings that exclude or need each other.
    #[error("{0}")]
    Conflict(String),
}

impl Choices {
    /// Reads a `--config` file: TOML with the keys of [`Settings`], each of which may be absent. A
    /// run's `config.toml` is one.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key or a value of the wrong type.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        parse_file(path)
    }

    /// These choices, and those of `lower` where these say nothing.
    ///
    /// A layer that gives `steps` without `epochs`, or the reverse, decides a run's length alone.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let (epochs, steps) = match (self.epochs, self.steps) {
            (None, None) => (lower.epochs, lower.steps),
            length => length,
        };
        Self {
            images: self.images.or(lower.images),
            masks: self.masks.or(lower.masks),
            val_images: self.val_images.or(lower.val_images),
            val_masks: self.val_masks.or(lower.val_masks),
            task: self.task.or(lower.task),
            variant: self.variant.or(lower.variant),
            size: self.size.or(lower.size),
            epochs,
            steps,
            batch_size: self.batch_size.or(lower.batch_size),
            accumulate: self.accumulate.or(lower.accumulate),
            lr: self.lr.or(lower.lr),
            weight_decay: self.weight_decay.or(lower.weight_decay),
            backbone: self.backbone.or(lower.backbone),
            init: self.init.or(lower.init),
            seed: self.seed.or(lower.seed),
            loss: self.loss.or(lower.loss),
            multi_scale: self.multi_scale.or(lower.multi_scale),
            shuffle: self.shuffle.or(lower.shuffle),
            augment: self.augment.or(lower.augment),
            threads: self.threads.or(lower.threads),
            device: self.device.or(lower.device),
            precision: self.precision.or(lower.precision),
            memory: self.memory.or(lower.memory),
            checkpoint_minutes: self.checkpoint_minutes.or(lower.checkpoint_minutes),
            generated: self.generated.or(lower.generated),
        }
    }

    /// What the task, if there is one, asks for.
    fn of_task(task: Option<Task>) -> Self {
        let Some(task) = task else { return Self::default() };
        let (epochs, multi_scale) = task_defaults(task);
        Self { epochs: Some(epochs), multi_scale: Some(multi_scale), ..Self::default() }
    }

    /// The preset's choices: for a folder of images the paper's, without images the demo's.
    fn of_preset(with_images: bool) -> Self {
        let paper = Self {
            variant: Some("large".to_string()),
            size: Some(352),
            epochs: Some(20),
            batch_size: Some(12),
            ..Self::default()
        };
        let demo = Self {
            variant: Some(demo::VARIANT.to_string()),
            size: Some(demo::SIZE),
            epochs: Some(demo::EPOCHS),
            batch_size: Some(demo::BATCH_SIZE),
            lr: Some(demo::LR),
            generated: Some(Generated { images: demo::IMAGES, val_images: demo::VALIDATION_IMAGES }),
            ..Self::default()
        };
        if with_images { paper } else { demo }
    }

    /// Completes and checks the choices. Paths become absolute, so that a run can be resumed from any
    /// folder.
    ///
    /// # Errors
    /// The first value that is out of range, or the first conflict.
    pub fn resolve(self) -> Result<Settings, SettingsError> {
        let preset = Self::of_preset(self.images.is_some());
        let task = Self::of_task(self.task);
        let all = self.over(task).over(preset);
        let settings = Settings {
            images: absolute(all.images),
            masks: absolute(all.masks),
            val_images: absolute(all.val_images),
            val_masks: absolute(all.val_masks),
            task: all.task,
            variant: all.variant.unwrap_or_default(),
            size: all.size.unwrap_or_default(),
            epochs: all.epochs,
            steps: all.steps,
            batch_size: all.batch_size.unwrap_or_default(),
            accumulate: all.accumulate.unwrap_or(1),
            lr: all.lr.unwrap_or(1e-3),
            weight_decay: all.weight_decay.unwrap_or(5e-4),
            backbone: absolute(all.backbone),
            init: absolute(all.init),
            seed: all.seed.unwrap_or(0),
            loss: all.loss.unwrap_or(LossFlavour::Paper),
            multi_scale: all.multi_scale.unwrap_or_default(),
            shuffle: all.shuffle.unwrap_or(true),
            augment: all.augment.unwrap_or(true),
            threads: all.threads,
            device: all.device.unwrap_or_default(),
            precision: all.precision.unwrap_or_default(),
            memory: all.memory.unwrap_or_default(),
            checkpoint_minutes: all.checkpoint_minutes.unwrap_or(5.0),
            generated: all.generated,
        };
        settings.check()?;
        Ok(settings)
    }
}

impl Settings {
    /// Reads a run's `config.toml`, which is complete: no preset is added.
    ///
    /// # Errors
    /// When the file cannot be read, a key is missing or unknown, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = parse_file(path)?;
        settings.check()?;
        Ok(settings)
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a path has no TOML form because it is not UTF-8; [`Choices::resolve`] gives no such settings.
    pub fn to_toml(&self) -> Result<String, SettingsError> {
        toml::to_string(self).map_err(|e| SettingsError::Conflict(format!("config.toml cannot hold the settings: {e}")))
    }

    /// The settings of a resumed run: only its length and what changes its results by rounding at most may be
    /// chosen anew (`steps`, `epochs`, `threads`, `device`, `memory`, `checkpoint_minutes`).
    ///
    /// # Errors
    /// When another choice differs from the run's setting.
    pub fn resumed_with(mut self, choices: Choices) -> Result<Self, SettingsError> {
        let Choices { steps, epochs, threads, device, memory, checkpoint_minutes, .. } = choices;
        let fixed = Choices {
            steps: None,
            epochs: None,
            threads: None,
            device: None,
            memory: None,
            checkpoint_minutes: None,
            ..choices
        };
        if fixed != Choices::default() {
            return Err(SettingsError::Conflict(
                "--resume takes everything from the run's config.toml: next to it only --steps, --epochs, --threads, \
                 --device, --memory and --checkpoint-minutes can be given. For other settings start a new run, with --init \
                 DIR/last/model.safetensors to go on from its weights"
                    .to_string(),
            ));
        }
        self.steps = steps.or(self.steps);
        self.epochs = epochs.or(self.epochs);
        self.threads = threads.or(self.threads);
        self.device = device.unwrap_or(self.device);
        self.memory = memory.unwrap_or(self.memory);
        self.checkpoint_minutes = checkpoint_minutes.unwrap_or(self.checkpoint_minutes);
        self.check()?;
        Ok(self)
    }

    /// The larger side of multi-scale training: 1.25 times the side, rounded to a multiple of 32.
    pub fn larger_side(&self) -> usize {
        let unit = SIDE_UNIT as f64;
        ((self.size as f64 * LARGER_SCALE / unit).round() * unit) as usize
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.check_sources()?;
        if !VARIANTS.contains(&self.variant.as_str()) {
            return Err(SettingsError::Choice {
                what: "variant",
                found: self.variant.clone(),
                choices: VARIANTS.join(", "),
            });
        }
        if !SIDES.contains(&self.size) {
            return Err(SettingsError::Size { size: self.size, nearest: nearest_sides(self.size) });
        }
        if self.multi_scale != MultiScale::Off && !SIDES.contains(&self.larger_side()) {
            return Err(SettingsError::Conflict(format!(
                "--multi-scale {}: 1.25 times --size {} is {}, beyond the largest side, {}; choose a smaller --size",
                self.multi_scale.name(),
                self.size,
                self.larger_side(),
                largest_side(),
            )));
        }
        let paths = [
            ("images", &self.images),
            ("masks", &self.masks),
            ("val-images", &self.val_images),
            ("val-masks", &self.val_masks),
            ("backbone", &self.backbone),
            ("init", &self.init),
        ];
        for (flag, path) in paths {
            if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
                let path = path.display();
                return Err(SettingsError::Conflict(format!(
                    "--{flag} {path}: config.toml holds UTF-8 only; rename it"
                )));
            }
        }
        if self.epochs.is_none() && self.steps.is_none() {
            return Err(SettingsError::Conflict("neither epochs nor steps say how long to train".to_string()));
        }
        let counts = [
            ("epochs", self.epochs),
            ("steps", self.steps),
            ("batch-size", Some(self.batch_size as u64)),
            ("accumulate", Some(self.accumulate as u64)),
            ("threads", self.threads.map(|n| n as u64)),
        ];
        for (flag, value) in counts {
            if value == Some(0) {
                return Err(range(flag, 0, "at least 1"));
            }
        }
        if self.threads.is_some_and(|threads| threads > MOST_THREADS) {
            return Err(range("threads", self.threads.unwrap_or_default(), "at most 1024"));
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return Err(range("lr", self.lr, "a positive number, for example 1e-3"));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(range("weight-decay", self.weight_decay, "a number of at least 0, for example 5e-4"));
        }
        if !(0.0..=MOST_MINUTES).contains(&self.checkpoint_minutes) {
            return Err(range("checkpoint-minutes", self.checkpoint_minutes, "a number from 0 to 1000000"));
        }
        Ok(())
    }

    fn check_sources(&self) -> Result<(), SettingsError> {
        let conflict = |text: &str| Err(SettingsError::Conflict(text.to_string()));
        match (&self.images, &self.masks) {
            (Some(_), None) => return conflict("--images needs --masks: the folder with the mask of each image"),
            (None, Some(_)) => return conflict("--masks needs --images: the folder with the image of each mask"),
            _ => {}
        }
        match (&self.val_images, &self.val_masks) {
            (Some(_), None) => return conflict("--val-images needs --val-masks"),
            (None, Some(_)) => return conflict("--val-masks needs --val-images"),
            (Some(_), Some(_)) if self.images.is_none() => {
                return conflict(
                    "--val-images needs --images: without them the run trains and validates on generated scenes",
                );
            }
            _ => {}
        }
        if self.images.is_none() && self.task.is_some() {
            return conflict("--task needs --images and --masks");
        }
        if self.backbone.is_some() && self.init.is_some() {
            return conflict(
                "--backbone and --init exclude each other: a checkpoint given to --init holds the trunk too",
            );
        }
        match (self.images.is_some(), self.generated) {
            (false, None) => conflict("a run without images needs the sizes of its generated sets (`generated`)"),
            (false, Some(sets)) if sets.images == 0 || sets.val_images == 0 => {
                conflict("generated: both sets need at least one image")
            }
            (true, Some(_)) => conflict("`generated` is for runs without --images"),
            _ => Ok(()),
        }
    }
}

fn range(flag: &'static str, value: impl ToString, range: &'static str) -> SettingsError {
    SettingsError::Range { flag, value: value.to_string(), range }
}

/// The two sides nearest to one that there is not.
fn nearest_sides(size: usize) -> (usize, usize) {
    let below = (size / SIDE_UNIT * SIDE_UNIT).clamp(SIDES[0], largest_side() - SIDE_UNIT);
    (below, below + SIDE_UNIT)
}

fn largest_side() -> usize {
    SIDES[SIDES.len() - 1]
}

fn absolute(path: Option<PathBuf>) -> Option<PathBuf> {
    // fails only for an empty path, which the one who opens it will refuse
    path.map(|path| std::path::absolute(&path).unwrap_or(path))
}

fn parse_file<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|e| SettingsError::Syntax { path: path.to_owned(), reason: e.to_string().trim_end().to_string() })
}

/// Puts a [`Named`] choice into a file by its name.
mod by_name {
    use super::Named;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<T: Named, S: Serializer>(choice: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(choice.name())
    }

    pub fn deserialize<'de, T: Named, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// The same for a choice that may be absent.
    pub mod optional {
        use super::Named;
        use serde::{Deserializer, Serializer};

        pub fn serialize<T: Named, S: Serializer>(choice: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
            match choice {
                Some(choice) => super::serialize(choice, to),
                None => to.serialize_none(),
            }
        }

        pub fn deserialize<'de, T: Named, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Choices {
        Choices { images: Some("i".into()), masks: Some("m".into()), ..Choices::default() }
    }

    fn refused(choices: Choices) -> String {
        choices.resolve().unwrap_err().to_string()
    }

    #[test]
    fn presets_are_those_of_the_paper_and_the_demo() {
        let paper = folder().resolve().unwrap();
        assert_eq!((paper.variant.as_str(), paper.size, paper.batch_size, paper.epochs), ("large", 352, 12, Some(20)));
        assert_eq!((paper.lr, paper.weight_decay, paper.shuffle, paper.augment), (1e-3, 5e-4, true, true));
        assert!(paper.images.unwrap().is_absolute() && paper.generated.is_none());
        let demo = Choices::default().resolve().unwrap();
        assert_eq!((demo.variant.as_str(), demo.size, demo.batch_size), ("tiny", 128, 8));
        assert!(demo.generated.is_some());
        for (task, epochs, scale) in [
            (Task::Camouflage, 50, MultiScale::Off),
            (Task::Salient, 50, MultiScale::Off),
            (Task::Marine, 20, MultiScale::Off),
            (Task::Mirror, 20, MultiScale::Off),
            (Task::Polyp, 20, MultiScale::Random),
        ] {
            let settings = Choices { task: Some(task), ..folder() }.resolve().unwrap();
            assert_eq!((settings.epochs, settings.multi_scale), (Some(epochs), scale));
        }
    }

    #[test]
    fn flags_win_over_the_file_the_file_over_the_task_the_task_over_the_preset() {
        let flags = Choices { lr: Some(3e-4), task: Some(Task::Polyp), ..folder() };
        let file: Choices = toml::from_str("lr = 1e-2\nsize = 96\nmulti_scale = \"both\"\ntask = \"marine\"").unwrap();
        let settings = flags.over(file).resolve().unwrap();
        assert_eq!((settings.lr, settings.size), (3e-4, 96));
        assert_eq!((settings.task, settings.multi_scale), (Some(Task::Polyp), MultiScale::Both));
        assert_eq!((settings.epochs, settings.batch_size), (Some(20), 12));
    }

    #[test]
    fn steps_alone_replace_a_lower_layers_epochs() {
        let settings = Choices { steps: Some(7), ..folder() }.resolve().unwrap();
        assert_eq!((settings.steps, settings.epochs), (Some(7), None));
        let settings = Choices { steps: Some(7), epochs: Some(3), ..folder() }.resolve().unwrap();
        assert_eq!((settings.steps, settings.epochs), (Some(7), Some(3)));
        let file = Choices { steps: Some(7), ..Choices::default() };
        let settings = Choices { epochs: Some(3), ..folder() }.over(file).resolve().unwrap();
        assert_eq!((settings.steps, settings.epochs), (None, Some(3)));
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let polyp = Choices { task: Some(Task::Polyp), multi_scale: Some(MultiScale::Off), ..folder() };
        let steps = Choices {
            steps: Some(5),
            threads: Some(2),
            loss: Some(LossFlavour::PublishedScript),
            ..Choices::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        for choices in [polyp, steps] {
            let settings = choices.resolve().unwrap();
            std::fs::write(&path, settings.to_toml().unwrap()).unwrap();
            assert_eq!(Settings::read(&path).unwrap(), settings);
            assert_eq!(Choices::read(&path).unwrap().resolve().unwrap(), settings);
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_name() {
        assert_eq!(
            refused(Choices { size: Some(350), ..folder() }),
            "--size 350: the side must be a multiple of 32 from 64 to 1024; the nearest are 320 and 352"
        );
        assert!(refused(Choices { size: Some(0), ..folder() }).ends_with("64 and 96"));
        assert!(refused(Choices { size: Some(9999), ..folder() }).ends_with("992 and 1024"));
        assert!(
            refused(Choices { variant: Some("huge".into()), ..folder() }).contains("tiny, small, base-plus, large")
        );
        assert!(refused(Choices { epochs: Some(0), ..folder() }).starts_with("--epochs 0"));
        assert!(refused(Choices { batch_size: Some(0), ..folder() }).starts_with("--batch-size 0"));
        assert!(refused(Choices { lr: Some(-1.0), ..folder() }).starts_with("--lr -1"));
        assert!(refused(Choices { lr: Some(f64::NAN), ..folder() }).starts_with("--lr NaN"));
        assert!(refused(Choices { checkpoint_minutes: Some(-1.0), ..folder() }).starts_with("--checkpoint-minutes"));
        assert!(refused(Choices { masks: None, ..folder() }).starts_with("--images needs --masks"));
        assert!(refused(Choices { val_images: Some("v".into()), ..folder() }).contains("--val-masks"));
        assert!(refused(Choices { task: Some(Task::Polyp), ..Choices::default() }).contains("--images"));
        assert!(
            refused(Choices { backbone: Some("b".into()), init: Some("i".into()), ..folder() }).contains("exclude")
        );
        let large = Choices { size: Some(1024), multi_scale: Some(MultiScale::Random), ..folder() };
        assert!(refused(large).contains("1280"));
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        assert!(Choices::read(&path).unwrap_err().to_string().contains("run.toml"));
        for (text, part) in [
            ("sise = 352", "sise"),
            ("loss = \"dice\"", "paper, published-script"),
            ("size = \"big\"", "size"),
            ("size = ", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Choices::read(&path).unwrap_err().to_string();
            assert!(message.contains("run.toml") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_resumed_run_may_change_its_length_and_nothing_that_changes_results() {
        let settings = Choices { epochs: Some(2), steps: Some(5), ..folder() }.resolve().unwrap();
        let longer = Choices { steps: Some(10), threads: Some(1), ..Choices::default() };
        let resumed = settings.clone().resumed_with(longer).unwrap();
        assert_eq!((resumed.steps, resumed.epochs, resumed.threads), (Some(10), Some(2), Some(1)));
        let less = Choices { memory: Some(Keep::Input), ..Choices::default() };
        assert_eq!(settings.clone().resumed_with(less).unwrap().memory, Keep::Input);
        for other in [
            Choices { lr: Some(1e-4), ..Choices::default() },
            Choices { precision: Some(Precision::Bf16), ..Choices::default() },
        ] {
            assert!(settings.clone().resumed_with(other).unwrap_err().to_string().contains("--resume"));
        }
    }

    #[test]
    fn a_run_from_before_precision_and_memory_could_be_chosen_still_reads() {
        let text = folder().resolve().unwrap().to_toml().unwrap();
        let old: String = text
            .lines()
            .filter(|l| !l.starts_with("precision") && !l.starts_with("memory"))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(old.len() < text.len());
        let settings: Settings = toml::from_str(&old).unwrap();
        assert_eq!((settings.precision, settings.memory), (Precision::F32, Keep::default()));
    }

    #[test]
    fn the_larger_side_is_rounded_to_32() {
        let side = |size| Choices { size: Some(size), ..folder() }.resolve().unwrap().larger_side();
        assert_eq!([side(352), side(64), side(128), side(224)], [448, 96, 160, 288]);
    }
}
