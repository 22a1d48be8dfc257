//! Batch normalisation with the statistics of the batch.
//!
//! Where several processes hold one batch, statistics and the input's gradient are those of the whole batch
//! ([`WholeBatch`]); without one, the rows given are the batch.

use super::device::Device;
use super::whole_batch::WholeBatch;

/// Added to the variance, as PyTorch's `nn.BatchNorm2d` does.
pub const EPSILON: f64 = 1e-5;

/// What a device computes for batch normalisation in training. A row holds the channels of one pixel.
pub trait BatchNormKernel: Device {
    /// What the forward pass keeps: the batch's mean and variance.
    type Saved: 'static;

    /// Whether a batch can be held in parts, by several processes. Where it cannot, a [`WholeBatch`] is an error.
    fn supports_parts(&self) -> bool;

    /// `y = (x - mean) / sqrt(var + eps) scale + bias`, then a ReLU if asked for; mean `(c)` and unbiased
    /// variance `(c)` of the batch are written to `statistics`.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm(
        &self,
        x: &Self::Buffer,
        scale: &Self::Buffer,
        bias: &Self::Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        y: Self::SliceMut<'_>,
        statistics: (Self::SliceMut<'_>, Self::SliceMut<'_>),
    ) -> Result<Self::Saved, Self::Error>;

    /// The mean `(c)` of each channel over all rows.
    ///
    /// # Errors
    /// When the device fails.
    fn channel_mean(
        &self,
        x: &Self::Buffer,
        channels: usize,
        whole: Option<&dyn WholeBatch>,
    ) -> Result<Self::Buffer, Self::Error>;

    /// `x - mean`, row by row.
    ///
    /// # Errors
    /// When the device fails.
    fn centred(&self, x: Self::Buffer, mean: &Self::Buffer) -> Result<Self::Buffer, Self::Error>;

    /// Adds to the gradients of input, scale and bias; mean and variance are functions of the input. Those of scale and bias
    /// are of the rows given: what the other parts of a [`WholeBatch`] add to them, its other holders have.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm_backward(
        &self,
        x: &Self::Buffer,
        scale: &Self::Buffer,
        bias: &Self::Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        saved: Self::Saved,
        gy: &Self::Buffer,
        gradients: (Self::SliceMut<'_>, Self::SliceMut<'_>, Self::SliceMut<'_>),
    ) -> Result<(), Self::Error>;
}
