//! A run's settings, complete.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::SettingsError;
use super::sides::SIDE_UNIT;
use crate::data::multi_scale::{LARGER_SCALE, MultiScale};
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::metrics::task::Task;
use crate::nn::losses::table::Loss;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub loss: Loss,
    /// How sides are drawn.
    pub multi_scale: MultiScale,
    /// Whether an epoch visits its images in random order.
    pub shuffle: bool,
    /// Whether images are flipped at random.
    pub augment: bool,
    /// Threads to compute with; absent for all cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// What the products are computed in.
    #[serde(default)]
    pub precision: Precision,
    /// What a block keeps for the backward pass.
    #[serde(default)]
    pub memory: MemoryUse,
    /// Minutes between two saves of `last` inside an epoch; 0 saves after each step.
    pub checkpoint_minutes: f64,
    /// Sizes of the generated sets of a run without images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
}

impl Settings {
    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a path has no TOML form because it is not UTF-8; [`Choices::resolve`](super::Choices::resolve) gives no such settings.
    pub fn to_toml(&self) -> Result<String, SettingsError> {
        toml::to_string(self).map_err(|e| SettingsError::Conflict(format!("config.toml cannot hold the settings: {e}")))
    }

    /// The larger side of multi-scale training: 1.25 times the side, rounded to a multiple of 32.
    pub fn larger_side(&self) -> usize {
        let unit = SIDE_UNIT as f64;
        ((self.size as f64 * LARGER_SCALE / unit).round() * unit) as usize
    }
}
