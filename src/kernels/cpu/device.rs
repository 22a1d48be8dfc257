//! The CPU as a device.

use super::buffer::{self, Buffer};
use super::gemm::packed::Packed;
use super::spin;
use crate::kernels::device::Device;
use crate::kernels::encoded::Encoded;
use crate::kernels::precision::Precision;
use std::convert::Infallible;
use std::sync::Arc;

/// What an operation gives; nothing can go wrong on the CPU.
pub type Done = Result<(), Infallible>;

/// The CPU: rayon's current pool, and the best instructions that the processor has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

/// A frozen weight, as its operation wants it.
#[derive(Debug)]
pub enum FrozenWeight {
    /// Plain numbers.
    Values(Vec<f32>),
    /// A linear layer's weight `(out, in)`, packed for its forward pass in the precision that its block computes in.
    Packed(Packed),
}

impl FrozenWeight {
    /// The plain numbers of a weight that is not two-dimensional.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Values(values) => values,
            Self::Packed(_) => unreachable!("a weight of two dimensions is packed"),
        }
    }

    /// The packed form of a two-dimensional weight.
    pub fn packed(&self) -> &Packed {
        match self {
            Self::Packed(packed) => packed,
            Self::Values(_) => unreachable!("only a weight of two dimensions is packed"),
        }
    }
}

impl Device for Cpu {
    type Error = Infallible;
    type Buffer = Buffer;
    type SliceMut<'a> = &'a mut [f32];
    type Frozen = Arc<FrozenWeight>;

    fn describe(&self) -> String {
        "cpu".into()
    }

    fn instructions(&self, precision: Precision) -> String {
        Packed::instructions(precision).into()
    }

    fn supports(&self, precision: Precision) -> bool {
        match precision {
            Precision::F32 | Precision::Bf16 => true,
            Precision::Tf32 => false,
        }
    }

    fn requires(precision: Precision) -> &'static str {
        match precision {
            Precision::F32 | Precision::Bf16 => "nothing more",
            Precision::Tf32 => "an NVIDIA GPU",
        }
    }

    fn computes_in(&self, precision: Precision) -> Precision {
        Packed::computed_in(precision)
    }

    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Arc<FrozenWeight>, Infallible> {
        Ok(Arc::new(match shape {
            [_, inputs] => FrozenWeight::Packed(Packed::frozen(&values, *inputs, precision)),
            _ => FrozenWeight::Values(values),
        }))
    }

    fn freeze_encoded(
        &self,
        numbers: &Encoded<'_>,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Arc<FrozenWeight>, Infallible> {
        match shape {
            [_, inputs] => Ok(Arc::new(FrozenWeight::Packed(Packed::from_encoded(numbers, *inputs, precision)))),
            _ => self.freeze(numbers.to_vec(), shape, precision),
        }
    }

    fn thaw(&self, weight: &Arc<FrozenWeight>) -> Result<Vec<f32>, Infallible> {
        Ok(match &**weight {
            FrozenWeight::Values(numbers) => numbers.clone(),
            FrozenWeight::Packed(factor) => factor.to_columns(),
        })
    }

    fn zeros(&self, length: usize, fill: impl FnOnce(&mut [f32]) -> Done) -> Result<Buffer, Infallible> {
        let mut numbers = Buffer::shared_zeros(length);
        fill(&mut numbers)?;
        Ok(numbers)
    }

    fn uninit(&self, length: usize, write: impl FnOnce(&mut [f32]) -> Done) -> Result<Buffer, Infallible> {
        let mut numbers = Buffer::shared(length);
        write(&mut numbers)?;
        Ok(numbers)
    }

    fn is_asynchronous(&self) -> bool {
        false
    }

    fn peak_bytes(&self) -> Option<u64> {
        None
    }

    fn keep_busy<R>(&self, work: impl FnOnce() -> R) -> R {
        buffer::with_large_pool(|| spin::keep_busy(work))
    }
}
