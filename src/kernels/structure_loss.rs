//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net, arXiv 1911.11445).

use super::device::Device;
use super::extent::Extent;
use crate::choice::choice;

choice! {
    /// Which formula the cross-entropy follows.
    #[derive(Default)]
    pub enum LossFlavour: "loss" {
        /// The paper's: each pixel's cross-entropy counts by its weight.
        #[default]
        Paper = "paper",
        /// The published training script's, where the cross-entropy is a plain mean over all pixels.
        PublishedScript = "published-script",
    }
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
        flavour: LossFlavour,
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
        flavour: LossFlavour,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        gy: &Self::Buffer,
        gx: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
