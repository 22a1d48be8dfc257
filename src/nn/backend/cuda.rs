//! dfdx's GPU as a backend.
//!
//! Kernels use a tensor's memory in place: dfdx lends no slice of it, so [`address`] finds its address. This is the one
//! place above the kernels with `unsafe` code: it promises that what was read is the tensor's own memory.

use super::address;
use super::bound::{Backend, StorageOf};
use super::cuda_error::explain;
use crate::kernels::cuda::buffer::Buffer;
use crate::kernels::cuda::error::GpuError;
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::cuda::view::SliceMut;
use dfdx::prelude::*;

/// A tensor's numbers, to write.
///
/// # Safety
/// No other tensor or buffer has the same storage.
unsafe fn slice_mut_of<S: Shape>(t: &mut Tensor<S, f32, Cuda>) -> SliceMut<'_> {
    let (address, len) = address::place(t);
    // SAFETY: `len` numbers are there, as the tensor, which is borrowed, says of itself; the caller promises that nothing
    // else leads to them.
    unsafe { SliceMut::from_address(address, len) }
}

impl Backend for Cuda {
    type Kernels = Gpu;

    fn kernels(&self) -> Result<Gpu, CudaError> {
        Ok(Gpu::on(address::device(self)?)?)
    }

    fn error(error: GpuError) -> CudaError {
        error.into()
    }

    fn explain(error: &CudaError) -> String {
        explain(error)
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Buffer {
        let (address, len) = address::place(t);
        // SAFETY: `len` numbers are there, as the tensor says of itself. Its copy, which has the same storage, keeps them alive
        // and from being written: dfdx, and `renew`, give a tensor that changes storage of its own where it has not.
        unsafe { Buffer::from_address(address, len, Box::new(t.clone())) }
    }

    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, CudaError> {
        self.run(|gpu| gpu.download(&self.view(t)))
    }

    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, CudaError> {
        assert_eq!(numbers.len(), shape.num_elements());
        self.build(shape, |gpu, y| gpu.upload(numbers, y))
    }

    fn tensor_of<S: Shape>(&self, buffer: Buffer, shape: S) -> Result<Tensor<S, f32, Self>, CudaError> {
        self.build(shape, |gpu, y| gpu.copy(&buffer, y))
    }

    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(SliceMut<'_>) -> Result<R, CudaError>,
    ) -> Result<(Tensor<S, f32, Self>, R), CudaError> {
        let mut y: Tensor<S, f32, Self> = self.try_zeros_like(&shape)?;
        // SAFETY: the tensor is new.
        let extra = fill(unsafe { slice_mut_of(&mut y) })?;
        Ok((y, extra))
    }

    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&Gpu, &Buffer, SliceMut<'_>) -> Result<(), GpuError>,
    ) -> Result<(), CudaError> {
        let old = self.view(t);
        // dfdx gives the tensor storage of its own first, as `old` shares what it had
        t.try_fill_with_zeros()?;
        // SAFETY: nothing had the new storage before, and the tensor is borrowed.
        let new = unsafe { slice_mut_of(t) };
        assert_ne!(new.address(), old.address(), "a tensor that changes leaves its views alone");
        self.run(|gpu| fill(gpu, &old, new))
    }

    fn take(&self, gradient: &mut StorageOf<Self>) -> Result<Buffer, CudaError> {
        let empty = gradient.device().null()?;
        Ok(std::mem::replace(&mut **gradient, empty).into())
    }

    fn slice_mut(gradient: &mut StorageOf<Self>) -> SliceMut<'_> {
        (&mut **gradient).into()
    }

    fn store(&self, numbers: &[f32]) -> Result<StorageOf<Self>, CudaError> {
        let mut storage = <Self as Storage<f32>>::try_alloc_len(self, numbers.len())?;
        storage.device().htod_sync_copy_into(numbers, &mut *storage)?;
        Ok(storage)
    }

    fn fetch(&self, storage: &StorageOf<Self>) -> Result<Vec<f32>, CudaError> {
        Ok(storage.device().dtoh_sync_copy(storage)?)
    }
}

#[cfg(test)]
mod tests;
