//! What was asked for, and how it becomes [`Settings`].
//!
//! Flags win over a settings file, that over what the task needs, that over the preset.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::check::check;
use super::demo;
use super::error::SettingsError;
use super::file::parse_file;
use super::settings::{Generated, Settings};
use crate::data::multi_scale::MultiScale;
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::metrics::task::Task;
use crate::nn::losses::table::Loss;

/// What the paper's section 4.1 sets for a task: epochs and multi-scale.
fn task_defaults(task: Task) -> (u64, MultiScale) {
    match task {
        Task::Camouflage | Task::Salient => (50, MultiScale::Off),
        Task::Marine | Task::Mirror => (20, MultiScale::Off),
        Task::Polyp => (20, MultiScale::Random),
    }
}

/// What was asked for: the flags of `train`, or the keys of a settings file. Everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each field is described where it is resolved, in `Settings`")]
pub struct Choices {
    pub images: Option<PathBuf>,
    pub masks: Option<PathBuf>,
    pub val_images: Option<PathBuf>,
    pub val_masks: Option<PathBuf>,
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
    pub loss: Option<Loss>,
    pub multi_scale: Option<MultiScale>,
    pub shuffle: Option<bool>,
    pub augment: Option<bool>,
    pub threads: Option<usize>,
    pub device: Option<DeviceChoice>,
    pub precision: Option<Precision>,
    pub memory: Option<MemoryUse>,
    pub checkpoint_minutes: Option<f64>,
    pub generated: Option<Generated>,
}

impl Choices {
    /// Reads a settings file: TOML with the keys of [`Settings`], each of which may be absent. A
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
            loss: all.loss.unwrap_or(Loss::Paper),
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
        check(&settings)?;
        Ok(settings)
    }
}

fn absolute(path: Option<PathBuf>) -> Option<PathBuf> {
    // fails only for an empty path, which the one who opens it will refuse
    path.map(|path| std::path::absolute(&path).unwrap_or(path))
}
