//! What is known of a tensor before its numbers are read.

use std::fmt;
use std::ops::Range;

/// Type of a tensor's numbers. Real values and counts are read of all of them but [`Dtype::Other`], as PyTorch casts
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single.
    BF16,
    /// IEEE 754 double precision.
    F64,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Byte.
    U8,
    /// 16-bit integer without a sign.
    U16,
    /// 32-bit integer without a sign.
    U32,
    /// 64-bit integer without a sign.
    U64,
    /// 8 bits: sign, 4 of exponent, 3 of fraction; no infinity.
    F8E4M3,
    /// 8 bits: sign, 5 of exponent, 2 of fraction.
    F8E5M2,
    /// Truth value.
    Bool,
    /// Any other, by name (complex, quantised); its size is not known here.
    Other(&'static str),
}

impl Dtype {
    /// Size of one number in bytes, where known.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => Some(8),
            Dtype::F32 | Dtype::I32 | Dtype::U32 => Some(4),
            Dtype::F16 | Dtype::BF16 | Dtype::I16 | Dtype::U16 => Some(2),
            Dtype::I8 | Dtype::U8 | Dtype::Bool | Dtype::F8E4M3 | Dtype::F8E5M2 => Some(1),
            Dtype::Other(_) => None,
        }
    }

    /// Whether [`WeightFile::values`](super::WeightFile::values) reads it.
    pub fn is_real(self) -> bool {
        !matches!(self, Dtype::Other(_))
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::F64 => "f64",
            Dtype::I64 => "i64",
            Dtype::I32 => "i32",
            Dtype::I16 => "i16",
            Dtype::I8 => "i8",
            Dtype::U8 => "u8",
            Dtype::U16 => "u16",
            Dtype::U32 => "u32",
            Dtype::U64 => "u64",
            Dtype::F8E4M3 => "f8_e4m3",
            Dtype::F8E5M2 => "f8_e5m2",
            Dtype::Bool => "bool",
            Dtype::Other(name) => name,
        })
    }
}

/// Type and shape of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo<'f> {
    /// Type of its numbers.
    pub dtype: Dtype,
    /// Shape, outermost dimension first; empty for a scalar.
    pub shape: &'f [usize],
}

/// One tensor: type, shape, and where its numbers lie.
pub(super) struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub location: Location,
    /// Which of the file's parts it lies in.
    pub part: usize,
    /// Its name in the file, with whatever stands before it and in it.
    pub in_file: String,
}

/// Where the numbers of a [`Tensor`] lie.
pub(super) enum Location {
    /// Row-major in these bytes of the file.
    Contiguous(Range<usize>),
    /// A view of a storage, offset and strides in numbers. PyTorch marks a lazily negated one (`is_neg`).
    Strided { storage: usize, offset: u64, strides: Vec<u64>, negative: bool },
}
