//! What batch norms saw of batches, held until the step is made.

use crate::nn::backend::bound::{Backend, BufferOf};
use dfdx::prelude::HasErr;

/// Is shown each batch norm of a model; its error ends the walk.
pub type EachNorm<'a, D> = &'a mut dyn FnMut(&mut dyn RunningNorm<D>) -> Result<(), <D as HasErr>::Err>;

/// A batch norm's running statistics in training: mean and variance, `(C,)` each, and how many batches they are of.
///
/// As in PyTorch they move with each forward pass. In a training step, which may be of several batches, and these on several
/// machines, they move once the step is made: what each batch's were is [held](Self::hold) until then.
pub trait RunningNorm<D: Backend> {
    /// From now on, what a forward pass sees is held.
    fn hold(&mut self);

    /// How many numbers are held of a batch: its mean and its unbiased variance, `2 C`.
    fn width(&self) -> usize;

    /// Takes what is held: for each batch [`width`](Self::width) numbers.
    ///
    /// # Errors
    /// When the device is lost.
    fn take(&mut self) -> Result<Vec<f32>, D::Err>;

    /// [`take`](Self::take), as buffers that are still on the device: mean and variance of each batch, one after the other.
    fn take_buffers(&mut self) -> Vec<BufferOf<D>>;

    /// Holds what a batch's were elsewhere, [`width`](Self::width) numbers, besides what is held.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn put(&mut self, numbers: &[f32]) -> Result<(), D::Err>;

    /// Moves the running statistics by what is held, batch after batch; nothing is held then.
    ///
    /// # Errors
    /// When the device fails.
    fn settle(&mut self) -> Result<(), D::Err>;

    /// Forgets what is held.
    fn forget(&mut self);
}
