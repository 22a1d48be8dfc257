//! The precision of matrix products.

/// The precision asked for in the large products; [`Device::computes_in`](super::device::Device::computes_in) tells which one is
/// used. Forward and backward, these are the products of a block's linear layers and adapter, of attention (on a GPU only in
/// bf16, and for heads of at most 96 channels), and of the convolutions in the decoder and the receptive-field blocks.
///
/// Everything else is single precision: the tape, the trainable weights, softmax and its gradient, the first and the last layer,
/// and an adapter's weight gradients. In bf16 a GPU also stores what only such products read: projections, the MLP's hidden layer
/// and their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Operands rounded to bf16 (subnormal numbers may count as zero), sums in single precision; the frozen linear layers
    /// are stored in bf16. A CPU whose bf16 products are not faster rounds those layers only.
    Bf16,
    /// NVIDIA's TF32: products use 10 bits of the operands' mantissa, sums are single precision;
    /// everything is stored in single precision.
    Tf32,
}

impl Precision {
    /// Every precision by its name.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("f32", Self::F32), ("bf16", Self::Bf16), ("tf32", Self::Tf32)];

    /// The precision of that name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, precision)| *precision)
    }

    /// Its name: `f32`, `bf16` or `tf32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
        }
    }
}
