//! dfdx's CPU as a backend.

use super::bound::{Backend, StorageOf};
use crate::kernels::cpu::buffer::{self, Buffer};
use crate::kernels::cpu::device::Cpu as Kernels;
use dfdx::prelude::*;
use std::cell::Cell;
use std::convert::Infallible;

/// Tensors whose numbers were copied for a kernel, as dfdx lends none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers they have together.
    pub numbers: usize,
}

thread_local! {
    static COPIES: Cell<Copies> = const { Cell::new(Copies { tensors: 0, numbers: 0 }) };
}

/// Counts what this thread copies in `call`.
pub fn copies<R>(call: impl FnOnce() -> R) -> (R, Copies) {
    let before = COPIES.get();
    let result = call();
    let after = COPIES.get();
    (result, Copies { tensors: after.tensors - before.tensors, numbers: after.numbers - before.numbers })
}

impl Backend for Cpu {
    type Kernels = Kernels;

    fn kernels(&self) -> Result<Kernels, CpuError> {
        Ok(Kernels)
    }

    fn error(error: Infallible) -> CpuError {
        match error {}
    }

    fn explain(error: &CpuError) -> String {
        error.to_string()
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Buffer {
        let mut numbers = Buffer::shared(t.shape().num_elements());
        let Copies { tensors, numbers: copied } = COPIES.get();
        COPIES.set(Copies { tensors: tensors + 1, numbers: copied + numbers.len() });
        t.copy_into(&mut numbers); // one copy; `as_vec` walks element by element
        numbers
    }

    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, CpuError> {
        let mut numbers = vec![0.0; t.shape().num_elements()];
        t.copy_into(&mut numbers);
        Ok(numbers)
    }

    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, CpuError> {
        self.try_tensor_from_vec(numbers.to_vec(), shape)
    }

    fn tensor_of<S: Shape>(&self, buffer: Buffer, shape: S) -> Result<Tensor<S, f32, Self>, CpuError> {
        self.try_tensor_from_vec(buffer.into(), shape)
    }

    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(&mut [f32]) -> Result<R, CpuError>,
    ) -> Result<(Tensor<S, f32, Self>, R), CpuError> {
        let mut numbers = buffer::zeros(shape.num_elements());
        let extra = fill(&mut numbers)?;
        Ok((self.try_tensor_from_vec(numbers, shape)?, extra))
    }

    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&Kernels, &Buffer, &mut [f32]) -> Result<(), Infallible>,
    ) -> Result<(), CpuError> {
        let (old, mut new) = (self.view(t), Buffer::shared(t.shape().num_elements()));
        self.run(|k| fill(k, &old, &mut new))?;
        t.copy_from(&new);
        Ok(())
    }

    fn take(&self, gradient: &mut StorageOf<Self>) -> Result<Buffer, CpuError> {
        Ok(std::mem::take(&mut **gradient).into())
    }

    fn slice_mut(gradient: &mut StorageOf<Self>) -> &mut [f32] {
        gradient
    }

    fn store(&self, numbers: &[f32]) -> Result<StorageOf<Self>, CpuError> {
        let mut storage = <Self as Storage<f32>>::try_alloc_len(self, numbers.len())?;
        storage.copy_from_slice(numbers);
        Ok(storage)
    }

    fn fetch(&self, storage: &StorageOf<Self>) -> Result<Vec<f32>, CpuError> {
        Ok(storage.to_vec())
    }
}
