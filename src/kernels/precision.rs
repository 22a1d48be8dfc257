//! What products are computed in.

/// What is asked for of the large products ([`Device::computes_in`](super::device::Device::computes_in) tells what is done): a block's linear layers and
/// adapter, attention's (queries and keys, weights and values; on a GPU only in bf16, and for heads of at most 96 numbers), and the convolutions of decoder and receptive-field
/// blocks, forward and back. Everything else is single precision: the tape, the trainable weights, softmax and its gradient, the
/// first and the last layer, and an adapter's weight gradients. What only such products read next a GPU also holds in bf16:
/// projections, the MLP's hidden layer and their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bf16 (subnormal numbers may count as zero), summed in single precision; the frozen linear layers
    /// are held in bf16. A CPU whose bf16 products are not faster rounds those layers, and nothing else.
    Bf16,
    /// Factors of single precision of which 10 bits of mantissa are multiplied (NVIDIA's TF32), summed in single precision;
    /// everything is held in single precision.
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
