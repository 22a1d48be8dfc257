//! The precision of matrix products.

use crate::choice::choice;

choice! {
    /// The precision asked for in the large products; [`Device::computes_in`](super::device::Device::computes_in) tells which one is
    /// used. Forward and backward, these are the products of a block's linear layers and adapter, of attention (on a GPU only in
    /// bf16, and for heads of at most 96 channels), and of the convolutions in the decoder and the receptive-field blocks.
    ///
    /// Everything else is single precision: the tape, the trainable weights, softmax and its gradient, the first and the last layer,
    /// and an adapter's weight gradients. In bf16 a GPU also stores what only such products read: projections, the MLP's hidden layer
    /// and their gradients.
    #[derive(Default)]
    pub enum Precision: "precision" {
        /// Single precision.
        #[default]
        F32 = "f32",
        /// Operands rounded to bf16 (subnormal numbers may count as zero), sums in single precision; the frozen linear layers
        /// are stored in bf16. A CPU whose bf16 products are not faster rounds those layers only.
        Bf16 = "bf16",
        /// NVIDIA's TF32: products use 10 bits of the operands' mantissa, sums are single precision;
        /// everything is stored in single precision.
        Tf32 = "tf32",
    }
}
