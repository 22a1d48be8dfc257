//! Where a run without images differs from one with images: generated scenes, small enough for a few minutes on
//! two cores.

use crate::choice::choice;

choice! {
    /// What generated scenes show.
    pub enum Demo: "demonstration" {
        /// Blobs before a background, some of them camouflaged: one class.
        Blobs = "blobs",
        /// Circles, squares and triangles, which their shape alone tells apart: three classes and the background.
        Classes = "classes",
    }
}

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
/// Epochs: 144 steps.
pub const EPOCHS: u64 = 6;
/// Learning rate of the first epoch: the run is short.
pub const LR: f64 = 2e-3;
/// Seed of the training scenes, whatever the run's seed: runs of different seeds see one set.
pub const TRAINING_SEED: u64 = 1;
/// Seed of the validation scenes.
pub const VALIDATION_SEED: u64 = 2;
/// Generated training images of several classes.
pub const IMAGES_OF_CLASSES: usize = 192;
/// Generated validation images of several classes.
pub const VALIDATION_IMAGES_OF_CLASSES: usize = 48;
/// Epochs on scenes of several classes.
pub const EPOCHS_OF_CLASSES: u64 = 6;
/// Learning rate of the first of them.
pub const LR_OF_CLASSES: f64 = 2e-3;
