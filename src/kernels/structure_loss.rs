//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net, arXiv 1911.11445).

use super::device::Device;
use super::extent::Extent;

/// Which formula the cross-entropy follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossFlavour {
    /// The paper's: each pixel's cross-entropy counts by its weight.
    #[default]
    Paper,
    /// The published training script's, where the cross-entropy is a plain mean over all pixels.
    PublishedScript,
}

/// What a device computes for the structure loss; a plane is one class of one image.
pub trait StructureLossKernel: Device {
    /// `1 + 5 |mean of 31x31 - mask|`, for planes of this height and width; the mean counts padding as zeros.
    ///
    /// # Errors
    /// The device's.
    fn loss_weights(&self, plane: Extent, mask: &Self::Buffer, y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// The mean over the planes, a single number.
    ///
    /// # Errors
    /// The device's.
    fn structure_loss(
        &self,
        plane: Extent,
        flavour: LossFlavour,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradient of the logits; `gy` is a single number.
    ///
    /// # Errors
    /// The device's.
    #[allow(clippy::too_many_arguments)]
    fn structure_loss_backward(
        &self,
        plane: Extent,
        flavour: LossFlavour,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        gy: &Self::Buffer,
        gx: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
