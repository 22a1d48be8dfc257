//! The loss of one output whose classes exclude each other: weighted cross-entropy plus weighted IoU, as the structure
//! loss has them for one mask (paper, "Loss function"), of a softmax over the classes.
//!
//! Per image, with `y` a pixel's class, `p` the softmax of its logits, `c` the classes' weights, sums over pixels that
//! are not ignored, and `n_k` the pixels of class `k` among the labelled pixels `n` of the 31x31 around that lie inside
//! the image:
//!
//! ```text
//! w    = 1 + 5 (1 - n_y / n)
//! u    = c_y w                                              (CrossEntropy::Plain: c_y)
//! A    = sum(u (-log p_y)) / sum(u)
//! I_k  = sum(w p_k [y = k]),  U_k = sum(w (p_k + [y = k])) - I_k
//! B    = sum_k(c_k (1 - (I_k + 1) / (U_k + 1))) / sum_k(c_k)    over the classes that the image shows
//! loss = the mean of A + B over the images
//! ```
//!
//! A fraction is 0 where its denominator is. The gradient, with `N = I_k + 1` and `D = U_k + 1`:
//!
//! ```text
//! g_k     = -(c_k / sum(c)) w ([y = k] (D + N) / D^2 - N / D^2)     0 for classes that the image does not show
//! dA/dz_k = u / sum(u) (p_k - [y = k]),   dB/dz_k = p_k (g_k - sum_j(g_j p_j))
//! ```
//!
//! The probabilities are not kept: the backward pass computes them again.

use super::device::Device;
use super::extent::Extent;
use super::structure_loss::CrossEntropy;

/// The index of a pixel that is ignored. So there are at most 255 classes.
pub const IGNORED: u8 = 255;

/// What a device computes for the loss of exclusive classes. An index map holds whole numbers, as a device's buffers
/// are of single precision: a pixel's class, or a number that is none, such as [`IGNORED`], where it is ignored.
pub trait ExclusiveLossKernel: Device {
    /// Each pixel's weight `w`, and 0 where it is ignored: `(batch, height, width)`, as the index map.
    ///
    /// # Errors
    /// When the device fails.
    fn exclusive_weights(
        &self,
        plane: Extent,
        classes: usize,
        index: &Self::Buffer,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// The loss of logits `(batch, classes, height, width)`: a single number. `weights` are those of
    /// [`exclusive_weights`](Self::exclusive_weights); `class_weights` has a number of 0 or more for each class
    /// (without it each class counts the same).
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn exclusive_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Self::Buffer,
        index: &Self::Buffer,
        weights: &Self::Buffer,
        class_weights: Option<&Self::Buffer>,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradient of the logits; `gy` is a single number.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn exclusive_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Self::Buffer,
        index: &Self::Buffer,
        weights: &Self::Buffer,
        class_weights: Option<&Self::Buffer>,
        gy: &Self::Buffer,
        gx: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
