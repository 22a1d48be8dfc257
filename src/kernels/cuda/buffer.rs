//! Device memory that is owned: buffers to read, temporary buffers, operands of products.

use super::error::GpuError;
use super::ptx::args_from_buffers;
use crate::kernels::precision::Precision;
use cudarc::driver::{CudaDevice, CudaSlice, DevicePtr, DeviceSlice};
use std::any::Any;
use std::sync::Arc;

/// Numbers on the device to read; they live as long as this does.
#[derive(Debug)]
pub struct Buffer {
    address: u64,
    len: usize,
    /// The owner of the memory, kept alive.
    _owner: Box<dyn Any>,
}

impl Buffer {
    /// Device address of the first number.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// `len` numbers at an address that belongs to `owner`.
    ///
    /// # Safety
    /// For as long as `owner` lives, `len` single precision numbers lie at `address` on the device, and nothing writes them.
    pub(crate) unsafe fn from_address(address: u64, len: usize, owner: Box<dyn Any>) -> Self {
        Self { address, len, _owner: owner }
    }
}

/// A typed buffer of operands of products, row-major: frozen weights, and operands made for one product.
#[derive(Debug)]
pub enum Operand {
    /// Single precision.
    F32(CudaSlice<f32>),
    /// Stored in single precision; products use 10 bits of mantissa.
    Tf32(CudaSlice<f32>),
    /// bf16, as its bits.
    Bf16(CudaSlice<u16>),
}

impl Operand {
    /// Uninitialised memory, for operands that a kernel writes throughout before a product reads them.
    pub fn uninit(device: &Arc<CudaDevice>, len: usize, precision: Precision) -> Result<Self, GpuError> {
        // SAFETY: as in `Scratch::uninit`.
        Ok(unsafe {
            match precision {
                Precision::F32 => Self::F32(device.alloc(len)?),
                Precision::Tf32 => Self::Tf32(device.alloc(len)?),
                Precision::Bf16 => Self::Bf16(device.alloc(len)?),
            }
        })
    }

    /// Precision in which products with them are computed.
    pub fn precision(&self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::Tf32(_) => Precision::Tf32,
            Self::Bf16(_) => Precision::Bf16,
        }
    }

    /// Device address of the first number.
    pub fn address(&self) -> u64 {
        match self {
            Self::F32(slice) | Self::Tf32(slice) => *slice.device_ptr(),
            Self::Bf16(slice) => *slice.device_ptr(),
        }
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(slice) | Self::Tf32(slice) => slice.len(),
            Self::Bf16(slice) => slice.len(),
        }
    }
}

/// A temporary buffer of single precision numbers. It may be dropped as soon as the last kernel that uses it has been
/// launched: the device frees it in the order of its work.
#[derive(Debug)]
pub struct Scratch(CudaSlice<f32>);

impl Scratch {
    /// Uninitialised memory, for buffers that a kernel writes throughout before any other reads them.
    pub fn uninit(device: &Arc<CudaDevice>, len: usize) -> Result<Self, GpuError> {
        // SAFETY: every bit pattern is a number; nothing of undefined value reaches the host, as only kernels see it.
        Ok(Self(unsafe { device.alloc(len) }?))
    }

    /// Zeros.
    pub fn zeros(device: &Arc<CudaDevice>, len: usize) -> Result<Self, GpuError> {
        Ok(Self(device.alloc_zeros(len)?))
    }

    /// Device address of the first number.
    pub fn address(&self) -> u64 {
        *self.0.device_ptr()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// As an operand for products of a precision that stores its operands in single precision.
    pub fn into_operand(self, precision: Precision) -> Operand {
        match precision {
            Precision::F32 => Operand::F32(self.0),
            Precision::Tf32 => Operand::Tf32(self.0),
            Precision::Bf16 => unreachable!("a kernel rounds"),
        }
    }
}

impl From<CudaSlice<f32>> for Buffer {
    fn from(slice: CudaSlice<f32>) -> Self {
        // its own numbers, which nothing writes any more
        Self { address: *slice.device_ptr(), len: slice.len(), _owner: Box::new(slice) }
    }
}

impl From<Scratch> for Buffer {
    fn from(scratch: Scratch) -> Self {
        scratch.0.into()
    }
}

args_from_buffers!(Buffer, Scratch, Operand, Arc<Operand>);
