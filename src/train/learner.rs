//! What the training loop needs of a model, whatever its variant, side and device.

use crate::data::loader::Batch;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::Backend;
use crate::nn::losses::table::Loss;
use crate::nn::targets::TargetError;
use crate::nn::weights::build::BuildError;
use crate::nn::weights::source::SourceError;
use crate::nn::weights::spec::{Value, WeightSpec};
use std::ops::Range;

/// Is handed a weight's name, its first and its second moment.
pub type EachMoment<'a> = &'a mut (dyn FnMut(&str, &[f32], &[f32]) + 'a);

/// Gives a weight's first and second moment by the weight's name.
pub type MomentsOf<'a> = &'a mut (dyn FnMut(&str) -> Option<(Vec<f32>, Vec<f32>)> + 'a);

/// A model in training together with its optimiser, behind a trait that has no type parameters, so
/// that the loop, the run's folder and the programs are compiled once.
pub trait Learner {
    /// Forgets the batches accumulated since the last update: gradients, losses and what batch norms saw, also of those that were
    /// sent. Without any there is nothing to forget.
    fn abandon_step(&mut self);

    /// Forward and backward over one batch: adds the gradients of `scale * loss` to those already
    /// gathered. Running statistics of the batch norms change with the update, not here.
    ///
    /// # Errors
    /// When the batch's side is not supported, its lengths disagree, an index is no class, or the device fails.
    fn accumulate(&mut self, batch: &Batch, scale: f32, loss: Loss) -> Result<(), LearnError>;

    /// The unscaled losses of the batches accumulated since this was last asked, in their order: each the mean over the
    /// batch of the sum over the three outputs (paper, "Loss function"). They are kept until somebody asks.
    ///
    /// # Errors
    /// When the device fails.
    fn losses(&mut self) -> Result<Vec<f64>, LearnError>;

    /// Whether the device works beside the host, so that asking for [`losses`](Self::losses) makes the host wait for it.
    fn is_asynchronous(&self) -> bool;

    /// One optimiser step at learning rate `rate` with the gathered gradients, which go back to zero. Running statistics move by
    /// what batch norms saw of each batch, in their order.
    ///
    /// # Errors
    /// When no batch was seen since the last one, or the device fails.
    fn update(&mut self, rate: f64) -> Result<(), LearnError>;

    /// How many numbers [`take_batch`](Self::take_batch) gives.
    fn sizes(&self) -> StepSizes;

    /// Takes what was gathered of one batch, so that it can be put together with that of others: appends the gradients of all
    /// trainable weights, in the order of the module's walk, to `gradient`, and what batch norms saw to `statistics`. What is left
    /// is as before the batch, but for its loss.
    ///
    /// # Errors
    /// When no batch was seen, or the device fails.
    fn take_batch(&mut self, gradient: &mut Vec<f32>, statistics: &mut Vec<f32>) -> Result<(), LearnError>;

    /// For a device that works beside the host: another way to take batches, which does not wait for each. `None` where there is
    /// none, as on the CPU.
    fn sender(&mut self) -> Option<&mut dyn BatchSender> {
        None
    }

    /// As [`update`](Self::update), with this gradient in place of what was gathered, and with what batch norms saw of each batch of
    /// the step, in their order: as [`take_batch`](Self::take_batch) gave them, here or in other processes.
    ///
    /// # Errors
    /// When the gradient has another length, or the device fails.
    fn update_with(&mut self, gradient: &[f32], statistics: &[f32], rate: f64) -> Result<(), LearnError>;

    /// The head's logits `(batch, classes, side, side)` in evaluation mode for normalised images
    /// `(batch, 3, side, side)`.
    ///
    /// # Errors
    /// When the side is not supported, the lengths disagree, or the device fails.
    fn predict(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, LearnError>;

    /// Name, shape and role of every value that the model stores.
    fn specs(&self) -> Vec<WeightSpec>;

    /// Calls `f` with every value that the model stores, in the order of [`specs`](Self::specs).
    fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value));

    /// Calls `f` with the name and the optimiser's first and second moments of every trainable
    /// weight that was ever updated, in the order of the names.
    ///
    /// # Errors
    /// When the device fails.
    fn each_moment(&self, f: EachMoment<'_>) -> Result<(), LearnError>;

    /// How many updates the optimiser has made.
    fn optimiser_steps(&self) -> u64;

    /// Puts the optimiser's moments (by weight name) and step count back. The weights are those that the model was built from.
    ///
    /// # Errors
    /// When, after at least one step, a moment is missing or has another length.
    fn restore_optimiser(&mut self, moments: MomentsOf<'_>, steps: u64) -> Result<(), LearnError>;

    /// The figures printed before the first step, for images of `side` in batches of `batch`.
    fn summary(&self, side: usize, batch: usize) -> LearnerSummary;
}

/// Takes batches as [`Learner::take_batch`] does, and brings them to the host beside the device's work: what is sent is received
/// later, batch after batch, and its gradient in parts, each as soon as it is final and while the rest is still computed.
pub trait BatchSender {
    /// Which numbers of a gradient come together, in the order in which they come. The same on all processes with this model.
    fn parts(&self) -> Vec<Range<usize>>;

    /// Takes what was gathered of one batch and begins to bring it to the host. What is left is as before the batch, but for its loss.
    ///
    /// # Errors
    /// When no batch was seen, or the device fails.
    fn send_batch(&mut self) -> Result<(), LearnError>;

    /// Waits for what batch norms saw of the oldest batch that was sent, and appends it to `statistics`: to be asked for once, before
    /// the batch's parts.
    ///
    /// # Errors
    /// When no batch was sent, or the device fails.
    fn receive_statistics(&mut self, statistics: &mut Vec<f32>) -> Result<(), LearnError>;

    /// Waits for the next part of that batch's gradient, and appends it to `gradient`: to be asked for once for each of
    /// [`parts`](Self::parts). Behind the last one the next batch is the oldest.
    ///
    /// # Errors
    /// When no batch was sent, or the device fails.
    fn receive_part(&mut self, gradient: &mut Vec<f32>) -> Result<(), LearnError>;
}

/// How many numbers of a batch its step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSizes {
    /// Those of its gradient: all trainable numbers.
    pub gradient: usize,
    /// Those that its batch norms saw: mean and variance of each of their channels.
    pub statistics: usize,
}

/// What a model is, in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerSummary {
    /// The variant's name, for example `base-plus`.
    pub variant: String,
    /// Where it computes, for people.
    pub device: String,
    /// Precision in which its products are computed.
    pub precision: Precision,
    /// Every real number that the optimiser could change or the trunk holds (`up4` included, as in
    /// the published counts; running statistics not).
    pub parameters: usize,
    /// Of these, how many never change.
    pub frozen: usize,
    /// Of these, how many the optimiser changes.
    pub trainable: usize,
    /// Floating-point operations of one image's forward pass, in units of 1e9.
    pub gflop_per_image: f64,
    /// Expected peak memory while training, the loaded model included, in bytes.
    pub training_bytes: u64,
}

/// Why a [`Learner`] could not go on.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// A batch does not fit the model.
    #[error("batch: {0}")]
    Batch(String),
    /// A batch cannot be compared with, or classes cannot have these weights.
    #[error(transparent)]
    Target(TargetError),
    /// No such model can be built.
    #[error(transparent)]
    Build(BuildError),
    /// Trainable weights that no gradient reached.
    #[error(
        "no gradient reached {} of the trainable weights, first {}: they take no part in the loss",
        names.len(),
        names.first().map_or("", String::as_str)
    )]
    NoGradient {
        /// Their names, in the order of the module's walk.
        names: Vec<String>,
    },
    /// A weight could not be put back.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An optimiser's moment could not be put back.
    #[error("optimiser state of {name}: {reason}")]
    Moment {
        /// The weight that the moment belongs to.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A device's error, in its own words for people.
pub(super) fn device_error<D: Backend>(error: D::Err) -> LearnError {
    LearnError::Device(D::explain(&error))
}
