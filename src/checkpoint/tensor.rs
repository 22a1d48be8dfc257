//! What is known of a tensor before its numbers are read.

use std::fmt;
use std::ops::Range;

/// Type of a tensor's numbers. Real values are read of `F32`, `F16` and `BF16`, counts of `I64`.
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
    /// Truth value.
    Bool,
    /// Any other, by name; its size is not known here.
    Other(&'static str),
}

impl Dtype {
    /// Size of one number in bytes, where known.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Dtype::F64 | Dtype::I64 => Some(8),
            Dtype::F32 | Dtype::I32 => Some(4),
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => Some(2),
            Dtype::I8 | Dtype::U8 | Dtype::Bool => Some(1),
            Dtype::Other(_) => None,
        }
    }

    /// Whether [`WeightFile::values`](super::WeightFile::values) reads it.
    pub fn is_real(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::BF16)
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
}

/// Where the numbers of a [`Tensor`] lie.
pub(super) enum Location {
    /// Row-major in these bytes of the file.
    Contiguous(Range<usize>),
    /// A view of a storage of the archive, offset and strides in numbers.
    Strided { storage: usize, offset: u64, strides: Vec<u64> },
}
