//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net, arXiv 1911.11445).

use super::device::Device;
use super::extent::Extent;

/// How the cross-entropy of a plane is averaged over its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrossEntropy {
    /// Each pixel counts by its weight.
    Weighted,
    /// Each pixel counts the same.
    Plain,
}

/// What a device computes for the structure loss; a plane is one class of one image.
pub trait StructureLossKernel: Device {
    /// Each pixel's weight, `1 + 5 |mean of the 31x31 pixels around it - mask|`; the mean counts padding as zeros.
    ///
    /// # Errors
    /// When the device fails.
    fn loss_weights(&self, plane: Extent, mask: &Self::Buffer, y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// The loss, averaged over the planes: a single number. `mask` is in `0..=1`.
    ///
    /// # Errors
    /// When the device fails.
    fn structure_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradient of the logits; `gy` is a single number.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn structure_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        gy: &Self::Buffer,
        gx: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
