//! A run's settings, each written once.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::data_table::{DATA, nest};
use super::declare::settings;
use super::demo::Demo;
use super::error::SettingsError;
use super::key::{Change, Flag, Group, Key, Mark};
use super::of_classes::{IgnoredValues, WeightsOfClasses};
use super::sides::SIDE_UNIT;
use super::value::SettingValue;
use crate::data::description::classes::GivenClasses;
use crate::data::description::describe::Description;
use crate::data::labels::kind::LabelKind;
use crate::data::multi_scale::{LARGER_SCALE, MultiScale};
use crate::data::read::facts::{ExifOrientation, ReadOptions};
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::metrics::classes::key::ClassKey;
use crate::metrics::task::Task;
use crate::nn::losses::table::Loss;
use crate::nn::variant::VariantName;

settings! {
    /// A run's settings: what `config.toml` in its folder holds.
    ///
    /// The default is the paper's (section 4.1), but has no images and no length yet. [`resolve`](super::layers::resolve) makes
    /// settings of files and flags; it alone gives a task's epochs and scales to the settings that name the task.
    pub struct Settings,
    /// Every setting, in the order in which files hold them. Command lines and help texts come from this table.
    KEYS {
        /// Folder of a data set in one of the usual layouts, or its YAML file; in place of images and masks
        data: Option<PathBuf> = None, Data, Value("DIR|YAML"), Place;
        /// Folder of training images
        images: Option<PathBuf> = None, Data, Value("DIR"), Place;
        /// Folder of their masks
        masks: Option<PathBuf> = None, Data, Value("DIR"), Place;
        /// Folder of validation images: scored after each epoch, `best` is chosen by them; without it nothing is held out
        val_images: Option<PathBuf> = None, Data, Value("DIR"), Place;
        /// Folder of their masks
        val_masks: Option<PathBuf> = None, Data, Value("DIR"), Place;
        /// Hold out this share of the images for validation, chosen by name and seed
        val_fraction: Option<f64> = None, Data, Value("SHARE"), Fixed;
        /// File with the names of the images to train on, one a line
        train_list: Option<PathBuf> = None, Data, Value("FILE"), Place;
        /// File with the names of the images to validate on, one a line: of the validation images, or else of the training images,
        /// which lose them
        val_list: Option<PathBuf> = None, Data, Value("FILE"), Place;
        /// What the name of each mask has behind its image's, before the ending: _segmentation
        mask_suffix: Option<String> = None, Data, Value("TEXT"), Fixed;
        /// The form of the labels; without it, what is there, and said. Masks of one class: binary. Masks of several: index, where
        /// values are numbers of classes; table, where values or colours mean classes (--classes FILE.toml); folders and suffixes,
        /// a mask for each class. Annotations: coco, labelme, polygons
        labels: Option<LabelKind> = None, Data, Value("NAME"), Fixed;
        /// The classes in order: names (background,polyp), or a file NAME.toml with their values (polyp = [255, 0, 0])
        classes: Option<GivenClasses> = None, Data, Value("NAMES|FILE.toml"), Fixed;
        /// Values of pixels that count nowhere: 255,#ffffff; without it 255 where values are numbers of classes
        ignore: Option<IgnoredValues> = None, Data, Value("VALUES"), Fixed;
        /// COCO file, or folder of Labelme files, in place of masks
        annotations: Option<PathBuf> = None, Data, Value("FILE|DIR"), Place;
        /// Let annotations of different classes overlap; without it a later one lies over an earlier one
        overlapping: bool = false, Data, On, Fixed;
        /// Look into the folders' subfolders, too; an image and its mask lie in subfolders of the same name
        recursive: bool = false, Data, On, Fixed;
        /// Take masks of another shape than their image, too: each is resized to the input's side by itself
        resize_masks: bool = false, Data, On, Fixed;
        /// What to do with EXIF orientations: ignore, as Pillow does, or apply, as viewers do
        exif_orientation: ExifOrientation = ExifOrientation::Ignore, Data, Value("NAME"), Fixed;
        /// Divide grey images of 16 bits by 257; without it values above 255 are clipped to white, as Pillow does
        scale_16_bit: bool = false, Data, On, Fixed;
        /// The paper's task: decides epochs, multi-scale and which scores are shown
        task: Option<Task> = None, Data, Value("NAME"), Fixed;
        /// Size of the encoder
        variant: VariantName = VariantName::Large, Model, Value("NAME"), Fixed, Always;
        /// Side of the input in pixels, a multiple of 32 from 64 to 1024
        size: usize = 352, Model, Value("N"), Fixed, Always;
        /// Epochs, and the length of the learning rate's cosine. If only `steps` is given, the cosine gets as many epochs as they
        /// need
        epochs: Option<u64> = None, Optimisation, Value("N"), Free;
        /// Stop after so many optimiser steps, if the epochs do not end before
        steps: Option<u64> = None, Optimisation, Value("N"), Free;
        /// Images in a batch; an epoch's last may hold fewer
        batch_size: usize = 12, Optimisation, Value("N"), Fixed, Always;
        /// Batches whose gradients make one step
        accumulate: usize = 1, Optimisation, Value("N"), Fixed, Always;
        /// Of several processes: cut each batch over them, with batch norms over the whole batch, in place of whole batches for each
        split_batch: bool = false, Optimisation, On, Free;
        /// Learning rate of the first epoch
        lr: f64 = 1e-3, Optimisation, Value("RATE"), Fixed, Always;
        /// AdamW's decoupled weight decay
        weight_decay: f64 = 5e-4, Optimisation, Value("RATE"), Fixed, Always;
        /// SAM2's weights for the frozen trunk, any usual format (weights/README.md); without it the trunk is random
        backbone: Option<PathBuf> = None, Model, Value("FILE"), Start;
        /// SAM2-UNet checkpoint to start from, or the folder of a run: its best model
        init: Option<PathBuf> = None, Model, Value("FILE|RUN"), Start;
        /// Seed of everything random
        seed: u64 = 0, Optimisation, Value("N"), Fixed, Always;
        /// The loss: the paper's, or that of the published script, whose cross-entropy is unweighted
        loss: Loss = Loss::Paper, Optimisation, Value("NAME"), Fixed, Always;
        /// What each class counts in the loss: numbers (1,2,0.5), or balanced: pixels of the training set / (classes x pixels of the
        /// class)
        class_weights: Option<WeightsOfClasses> = None, Optimisation, Value("NUMBERS|balanced"), Fixed;
        /// Of several classes, the score by which the best model is chosen; without it the mean IoU, without the background
        best_by: Option<ClassKey> = None, Optimisation, Value("NAME"), Fixed;
        /// How sides are drawn: random: each batch at the side or 1.25 times it; both: at both, an update each
        multi_scale: MultiScale = MultiScale::Off, Optimisation, Value("NAME"), Fixed, Always;
        /// Whether an epoch visits its images in random order
        shuffle: bool = true, Data, Off("Keep the images in the order of their names"), Fixed, Always;
        /// Whether images are flipped at random
        augment: bool = true, Data, Off("No random flips"), Fixed, Always;
        /// Threads to compute with; without it all cores
        threads: Option<usize> = None, Run, Value("N"), Free;
        /// Where to compute; auto: on a GPU if this build and this machine have one
        device: DeviceChoice = DeviceChoice::Auto, Run, Value("NAME"), Free, Always;
        /// Precision of matrix products. In bf16 the trunk is rounded, in half the memory, and stored so; operands too, where that
        /// is faster. tf32, on a GPU, rounds less, and stores nothing rounded
        precision: Precision = Precision::F32, Optimisation, Value("NAME"), Fixed;
        /// What a block keeps for the backward pass: small: its input; fast: most
        memory: MemoryUse = MemoryUse::Balanced, Run, Value("NAME"), Free;
        /// Minutes between two saves inside an epoch; 0 saves after each step
        checkpoint_minutes: f64 = 5.0, Run, Value("N"), Free, Always;
        /// Newest checkpoints that are kept, besides the best
        keep: usize = 1, Run, Value("N"), Free;
        /// What the generated scenes of a run without images show: blobs, of one class; classes: circles, squares and triangles
        demo: Option<Demo> = None, Data, Value("NAME"), Fixed;
        /// Sizes of the generated sets of a run without images
        generated: Option<Generated> = None, Data, FileOnly, Fixed;
    }
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

impl SettingValue for Generated {
    fn from_text(_: &OsStr) -> Result<toml::Value, String> {
        Err("it is a table in a settings file".to_string())
    }
}

impl Settings {
    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a path has no TOML form because it is not UTF-8; [`check`](Self::check) finds no such settings right.
    pub fn to_toml(&self) -> Result<String, SettingsError> {
        let text = |e: toml::ser::Error| SettingsError::Text(e.to_string());
        let mut table = Table::try_from(self).map_err(text)?;
        nest(&mut table);
        // keys in the order of the settings, tables behind them
        let (mut lines, mut tables) = (String::new(), String::new());
        for name in KEYS.iter().map(|key| key.name).chain([DATA]) {
            match table.remove(name) {
                Some(value @ Value::Table(_)) => {
                    let table = Table::from_iter([(name.to_string(), value)]);
                    tables += &format!("\n{}", toml::to_string(&table).map_err(text)?);
                }
                Some(value) => {
                    lines += &toml::to_string(&Table::from_iter([(name.to_string(), value)])).map_err(text)?
                }
                None => {}
            }
        }
        Ok(lines + &tables)
    }

    /// The data set that the settings describe; `None` where they name no images.
    pub fn description(&self) -> Option<Description> {
        if self.data.is_none() && self.images.is_none() {
            return None;
        }
        let Self {
            data,
            images,
            masks,
            val_images,
            val_masks,
            val_fraction,
            train_list,
            val_list,
            mask_suffix,
            labels,
            classes,
            ignore,
            annotations,
            overlapping,
            ..
        } = self.clone();
        Some(Description {
            root: data,
            images,
            masks,
            val_images,
            val_masks,
            val_fraction,
            train_list,
            val_list,
            mask_suffix,
            labels,
            classes,
            ignore: ignore.map(|ignored| ignored.0),
            annotations,
            overlapping,
            recursive: self.recursive,
            resize_masks: self.resize_masks,
            read: self.reading(),
            seed: self.seed,
        })
    }

    /// How image files are read.
    pub fn reading(&self) -> ReadOptions {
        ReadOptions { exif_orientation: self.exif_orientation, scale_16_bit: self.scale_16_bit }
    }

    /// The larger side of multi-scale training: 1.25 times the side, rounded to a multiple of 32.
    pub fn larger_side(&self) -> usize {
        let unit = SIDE_UNIT as f64;
        ((self.size as f64 * LARGER_SCALE / unit).round() * unit) as usize
    }
}
