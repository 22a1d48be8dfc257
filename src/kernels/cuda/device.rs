//! A GPU as a device: its precisions, frozen weights and buffers.

use super::buffer::{Buffer, Operand, Scratch};
use super::error::GpuError;
use super::gpu::{Gpu, supported};
use super::view::SliceMut;
use crate::kernels::device::Device;
use crate::kernels::precision::Precision;
use cudarc::driver::result::mem_get_info;
use cudarc::driver::sys;
use half::bf16;
use std::sync::Arc;

impl Device for Gpu {
    type Error = GpuError;
    type Buffer = Buffer;
    type SliceMut<'a> = SliceMut<'a>;
    type Frozen = Arc<Operand>;

    fn describe(&self) -> String {
        format!("cuda (GPU {})", self.device().ordinal())
    }

    fn supports(&self, precision: Precision) -> bool {
        supported(self.device(), precision) == precision
    }

    fn requires(precision: Precision) -> &'static str {
        match precision {
            Precision::F32 => "nothing more",
            Precision::Tf32 | Precision::Bf16 => "a GPU of compute capability 8.0 or newer",
        }
    }

    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Arc<Operand>, GpuError> {
        let device = self.device();
        Ok(Arc::new(match (shape, supported(device, precision)) {
            ([_, _], Precision::Bf16) => {
                let bits: Vec<u16> = values.into_iter().map(|v| bf16::from_f32(v).to_bits()).collect();
                Operand::Bf16(device.htod_sync_copy(&bits)?)
            }
            ([_, _], Precision::Tf32) => Operand::Tf32(device.htod_sync_copy(&values)?),
            _ => Operand::F32(device.htod_sync_copy(&values)?),
        }))
    }

    fn thaw(&self, weight: &Arc<Operand>) -> Result<Vec<f32>, GpuError> {
        match &**weight {
            Operand::F32(slice) | Operand::Tf32(slice) => Ok(slice.device().dtoh_sync_copy(slice)?),
            Operand::Bf16(slice) => {
                let bits = slice.device().dtoh_sync_copy(slice)?;
                Ok(bits.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect())
            }
        }
    }

    fn zeros(
        &self,
        length: usize,
        fill: impl FnOnce(SliceMut<'_>) -> Result<(), GpuError>,
    ) -> Result<Buffer, GpuError> {
        let mut numbers = Scratch::zeros(self.device(), length)?;
        fill((&mut numbers).into())?;
        Ok(numbers.into())
    }

    fn uninit(
        &self,
        length: usize,
        write: impl FnOnce(SliceMut<'_>) -> Result<(), GpuError>,
    ) -> Result<Buffer, GpuError> {
        let mut numbers = self.scratch(length)?;
        write((&mut numbers).into())?;
        Ok(numbers.into())
    }

    fn is_asynchronous(&self) -> bool {
        true
    }

    fn peak_bytes(&self) -> Option<u64> {
        let device = self.device();
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

    fn memory_bytes(&self) -> Option<(u64, u64)> {
        self.device().bind_to_thread().ok()?;
        let (free, total) = mem_get_info().ok()?;
        Some((free as u64, total as u64))
    }

    /// Its UUID as `nvidia-smi -L` writes it. A part of a card that was divided has one of its own, which is written `MIG-` there.
    fn identity(&self) -> Option<String> {
        let mut uuid = sys::CUuuid { bytes: [0; 16] };
        // SAFETY: the driver writes 16 bytes where it is told to.
        unsafe { sys::cuDeviceGetUuid_v2(&mut uuid, *self.device().cu_device()) }.result().ok()?;
        let digits: String = uuid.bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect();
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
        Some(format!("GPU-{}", groups.join("-")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use super::*;
    use cudarc::driver::DeviceSlice;

    #[test]
    fn frozen_weights_come_back() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let values: Vec<f32> = (0..35).map(|i| 1.0 / i as f32).collect();
        let rounded: Vec<f32> = values.iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
        for (precision, shape, bytes, held) in [
            (Precision::F32, &[5, 7][..], 4, &values),
            (Precision::Tf32, &[5, 7], 4, &values),
            (Precision::Bf16, &[5, 7], 2, &rounded),
            (Precision::Bf16, &[35], 4, &values),
        ] {
            if !gpu.supports(precision) {
                continue;
            }
            let frozen = gpu.freeze(values.clone(), shape, precision).unwrap();
            assert_eq!(frozen.len(), 35);
            let found = match &*frozen {
                Operand::F32(slice) | Operand::Tf32(slice) => slice.num_bytes(),
                Operand::Bf16(slice) => slice.num_bytes(),
            };
            assert_eq!(found, bytes * 35, "{precision:?}");
            assert!(frozen.precision() == if shape.len() == 2 { precision } else { Precision::F32 });
            assert_eq!(gpu.thaw(&frozen).unwrap(), *held);
        }
    }

    #[test]
    fn free_memory_is_a_part_of_all() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let (free, all) = gpu.memory_bytes().unwrap();
        assert!(0 < free && free <= all, "{free} of {all}");
    }

    #[test]
    fn a_gpu_has_an_identity_of_its_own() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let identity = gpu.identity().unwrap();
        let groups: Vec<usize> = identity.split('-').map(str::len).collect();
        assert_eq!(groups, [3, 8, 4, 4, 4, 12], "{identity}");
        assert_eq!(tested_gpu().unwrap().identity(), Some(identity));
    }

    #[test]
    fn buffers_come_back_and_are_counted() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let zeros = gpu.zeros(100_000, |_| Ok(())).unwrap();
        assert_eq!(gpu.download(&zeros).unwrap(), [0.0; 100_000]);
        assert!(gpu.peak_bytes().unwrap() >= 400_000);
        let numbers: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
        let buffer = gpu.uninit(numbers.len(), |y| gpu.upload(&numbers, y)).unwrap();
        let copy = gpu.uninit(numbers.len(), |y| gpu.copy(&buffer, y)).unwrap();
        drop(buffer);
        assert_eq!(gpu.download(&copy).unwrap(), numbers);
    }
}
