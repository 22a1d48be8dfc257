//! dfdx's device as kernels see it: tensors, gradients, frozen weights and buffers as device addresses.

use super::address;
use super::buffer::{Buffer, Operand, Scratch};
use super::stream::supported;
use super::view::SliceMut;
use crate::nn::backend::{Buffer as TensorBuffer, Memory, Precision};
use cudarc::driver::{DevicePtr, DeviceSlice, result, sys};
use dfdx::prelude::*;
use half::bf16;
use std::sync::Arc;

/// The storage of a tensor or gradient, which stays where it is.
fn of_storage(storage: TensorBuffer<Cuda>) -> Buffer {
    Buffer::new(*storage.device_ptr(), storage.len(), Box::new(storage))
}

impl Memory for Cuda {
    type Frozen = Arc<Operand>;
    type View = Buffer;
    type Out<'a> = SliceMut<'a>;

    fn describe(&self) -> String {
        format!("cuda (GPU {})", address::device(self).map_or(0, |device| device.ordinal()))
    }

    fn explain(error: &CudaError) -> String {
        address::explain(error)
    }

    fn offers(&self, precision: Precision) -> bool {
        precision == Precision::F32
            || address::device(self).is_ok_and(|device| supported(&device, precision) == precision)
    }

    fn needs(precision: Precision) -> &'static str {
        match precision {
            Precision::F32 => "nothing more",
            Precision::Tf32 | Precision::Bf16 => "a GPU of compute capability 8.0 or newer",
        }
    }

    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Arc<Operand>, CudaError> {
        let device = address::device(self)?;
        Ok(Arc::new(match (shape, supported(&device, precision)) {
            ([_, _], Precision::Bf16) => {
                let bits: Vec<u16> = values.into_iter().map(|v| bf16::from_f32(v).to_bits()).collect();
                Operand::Bf16(device.htod_sync_copy(&bits)?)
            }
            ([_, _], Precision::Tf32) => Operand::Tf32(device.htod_sync_copy(&values)?),
            _ => Operand::F32(device.htod_sync_copy(&values)?),
        }))
    }

    fn thaw(&self, weight: &Arc<Operand>) -> Result<Vec<f32>, CudaError> {
        match &**weight {
            Operand::F32(slice) | Operand::Tf32(slice) => Ok(slice.device().dtoh_sync_copy(slice)?),
            Operand::Bf16(slice) => {
                let bits = slice.device().dtoh_sync_copy(slice)?;
                Ok(bits.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect())
            }
        }
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Buffer {
        let (address, len) = address::place(t);
        Buffer::new(address, len, Box::new(t.clone()))
    }

    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, CudaError> {
        let (address, len) = address::place(t);
        let mut numbers = vec![0.0; len];
        let device = address::device(self)?;
        device.bind_to_thread()?;
        // SAFETY: the tensor, which is borrowed, has `len` numbers there, and as many are written, in the order of dfdx's work
        // and before this function ends.
        unsafe { result::memcpy_dtoh_async(&mut numbers, address, *device.cu_stream()) }?;
        device.synchronize()?;
        Ok(numbers)
    }

    fn store(&self, numbers: &[f32]) -> Result<TensorBuffer<Self>, CudaError> {
        let mut buffer = <Self as Storage<f32>>::try_alloc_len(self, numbers.len())?;
        buffer.device().htod_sync_copy_into(numbers, &mut *buffer)?;
        Ok(buffer)
    }

    fn fetch(&self, buffer: &TensorBuffer<Self>) -> Result<Vec<f32>, CudaError> {
        Ok(buffer.device().dtoh_sync_copy(buffer)?)
    }

    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, CudaError> {
        assert_eq!(numbers.len(), shape.num_elements());
        self.build(shape, |y| Ok(address::stream(self)?.upload(numbers, y)?))
    }

    fn lags(&self) -> bool {
        true
    }

    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&Buffer, SliceMut<'_>) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let old = self.view(t);
        // dfdx gives the tensor storage of its own first, as `old` shares what it had
        t.try_fill_with_zeros()?;
        let (address, len) = address::place(t);
        assert_ne!(address, old.address(), "a tensor that changes leaves its views alone");
        fill(&old, SliceMut::new(address, len))
    }

    fn peak_bytes(&self) -> Option<u64> {
        let device = address::device(self).ok()?;
        device.bind_to_thread().ok()?;
        let (mut pool, mut bytes) = (std::ptr::null_mut(), 0u64);
        let most = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        // SAFETY: the driver writes a handle and, for this attribute, 64 bits where it is told to.
        unsafe {
            sys::cuDeviceGetDefaultMemPool(&mut pool, *device.cu_device()).result().ok()?;
            sys::cuMemPoolGetAttribute(pool, most, std::ptr::from_mut(&mut bytes).cast()).result().ok()?;
        }
        Some(bytes)
    }

    fn take(&self, slot: &mut TensorBuffer<Self>) -> Result<Buffer, CudaError> {
        let empty = <Self as Storage<f32>>::try_alloc_len(self, 0)?;
        Ok(of_storage(std::mem::replace(slot, empty)))
    }

    fn out(buffer: &mut TensorBuffer<Self>) -> SliceMut<'_> {
        SliceMut::new(*buffer.device_ptr(), buffer.len())
    }

    fn fill(
        &self,
        length: usize,
        fill: impl FnOnce(SliceMut<'_>) -> Result<(), CudaError>,
    ) -> Result<Buffer, CudaError> {
        let mut buffer = <Self as Storage<f32>>::try_alloc_len(self, length)?;
        fill(Self::out(&mut buffer))?;
        Ok(of_storage(buffer))
    }

    fn overwrite(
        &self,
        length: usize,
        write: impl FnOnce(SliceMut<'_>) -> Result<(), CudaError>,
    ) -> Result<Buffer, CudaError> {
        let mut scratch = Scratch::uninit(&address::device(self)?, length)?;
        write(SliceMut::from(&mut scratch))?;
        Ok(scratch.into())
    }

    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(SliceMut<'_>) -> Result<R, CudaError>,
    ) -> Result<(Tensor<S, f32, Self>, R), CudaError> {
        let y: Tensor<S, f32, Self> = self.try_zeros_like(&shape)?;
        let (address, len) = address::place(&y);
        let extra = fill(SliceMut::new(address, len))?;
        Ok((y, extra))
    }
}

#[cfg(test)]
mod tests;
