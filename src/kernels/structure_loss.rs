//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net, arXiv 1911.11445).

use super::device::Device;
use super::extent::Extent;

/// How the cross-entropy is averaged over the pixels that are not ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrossEntropy {
    /// Each pixel counts by its weight.
    Weighted,
    /// Each pixel counts the same.
    Plain,
}

/// What a device computes for the structure loss. A plane is one class of one image; a pixel of it whose weight is 0 is
/// ignored, whatever its logit and its mask are, and other weights are at least 1.
pub trait StructureLossKernel: Device {
    /// Each pixel's weight, `1 + 5 |mean of the 31x31 pixels around it - mask|`; the mean counts padding as zeros.
    ///
    /// Where `known` is 0, the weight is 0, and the pixel counts in no mean. It has a plane for each plane of the mask,
    /// or one for as many as there are classes.
    ///
    /// # Errors
    /// When the device fails.
    fn loss_weights(
        &self,
        plane: Extent,
        mask: &Self::Buffer,
        known: Option<&Self::Buffer>,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// The loss, averaged over images and, by weight, over classes: a single number. `mask` is in `0..=1`;
    /// `class_weights` has a number for each class, 0 or more, and one above 0 (without it each class counts the same).
    /// A plane all of whose pixels are ignored adds nothing, and counts in the mean.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn structure_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Self::Buffer,
        mask: &Self::Buffer,
        weights: &Self::Buffer,
        class_weights: Option<&Self::Buffer>,
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
        class_weights: Option<&Self::Buffer>,
        gy: &Self::Buffer,
        gx: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
