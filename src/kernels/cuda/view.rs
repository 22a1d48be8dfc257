//! Device slices: borrowed device memory with its length, against which operations check their sizes.

use super::buffer::{Buffer, Operand, Scratch};
use super::ptx::Arg;
use crate::kernels::precision::Precision;
use cudarc::driver::{CudaSlice, DevicePtr, DeviceSlice};
use std::marker::PhantomData;
use std::sync::Arc;

/// Some of a buffer's single precision numbers, to read; the buffer is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    address: u64,
    len: usize,
    owner: PhantomData<&'a ()>,
}

impl<'a> Slice<'a> {
    /// `len` numbers from `start` on.
    pub fn at(self, start: usize, len: usize) -> Self {
        Self { address: address_of(self.address, self.len, start, len), len, owner: PhantomData }
    }

    /// Device address of the first number.
    pub fn address(self) -> u64 {
        self.address
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.len
    }

    /// As an operand that is not rounded.
    pub fn exact(self) -> OperandSlice<'a> {
        self.stored_in(Precision::F32)
    }

    /// As an operand of this precision, which must not be bf16, as nothing is rounded.
    pub fn stored_in(self, precision: Precision) -> OperandSlice<'a> {
        assert_ne!(precision, Precision::Bf16, "single precision numbers");
        OperandSlice { address: self.address, len: self.len, precision, owner: PhantomData }
    }
}

/// Some of a buffer's single precision numbers, to write; nothing else reads or writes them meanwhile.
#[derive(Debug)]
pub struct SliceMut<'a> {
    address: u64,
    len: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl SliceMut<'_> {
    /// `len` numbers at an address, which the result borrows from whatever owns them.
    ///
    /// # Safety
    /// For as long as the result lives, `len` single precision numbers lie at `address` on the device, and nothing else
    /// reads or writes them.
    pub(crate) unsafe fn from_address(address: u64, len: usize) -> Self {
        Self { address, len, owner: PhantomData }
    }

    /// `len` numbers from `start` on.
    pub fn at(&mut self, start: usize, len: usize) -> SliceMut<'_> {
        SliceMut { address: address_of(self.address, self.len, start, len), len, owner: PhantomData }
    }

    /// Borrows the whole slice again.
    pub fn reborrow(&mut self) -> SliceMut<'_> {
        self.at(0, self.len)
    }

    /// Device address of the first number.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// An operand of a product, stored as its precision wants it; the buffer is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct OperandSlice<'a> {
    address: u64,
    len: usize,
    precision: Precision,
    owner: PhantomData<&'a ()>,
}

impl OperandSlice<'_> {
    /// Device address of the first number.
    pub fn address(self) -> u64 {
        self.address
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.len
    }

    /// Precision in which products with it are computed.
    pub fn precision(self) -> Precision {
        self.precision
    }
}

/// Of the number `start` among `all` of single precision, `len` of which follow.
fn address_of(address: u64, all: usize, start: usize, len: usize) -> u64 {
    assert!(start + len <= all, "{start} + {len} numbers of {all}");
    address + (start * size_of::<f32>()) as u64
}

impl From<Slice<'_>> for Arg {
    fn from(slice: Slice<'_>) -> Self {
        slice.address.into()
    }
}

impl From<&SliceMut<'_>> for Arg {
    fn from(slice: &SliceMut<'_>) -> Self {
        slice.address.into()
    }
}

impl<'a> From<&'a Buffer> for Slice<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        Self { address: buffer.address(), len: buffer.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a Scratch> for Slice<'a> {
    fn from(buffer: &'a Scratch) -> Self {
        Self { address: buffer.address(), len: buffer.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a Arc<Operand>> for Slice<'a> {
    /// Of a frozen weight that is no operand of a product.
    fn from(numbers: &'a Arc<Operand>) -> Self {
        assert_eq!(numbers.precision(), Precision::F32, "only operands are rounded");
        Self { address: numbers.address(), len: numbers.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a mut CudaSlice<f32>> for SliceMut<'a> {
    fn from(slice: &'a mut CudaSlice<f32>) -> Self {
        Self { address: *slice.device_ptr(), len: slice.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a mut Scratch> for SliceMut<'a> {
    fn from(buffer: &'a mut Scratch) -> Self {
        Self { address: buffer.address(), len: buffer.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a Operand> for OperandSlice<'a> {
    fn from(operand: &'a Operand) -> Self {
        let (address, len, precision) = (operand.address(), operand.len(), operand.precision());
        Self { address, len, precision, owner: PhantomData }
    }
}

impl<'a> From<&'a Arc<Operand>> for OperandSlice<'a> {
    fn from(operand: &'a Arc<Operand>) -> Self {
        (&**operand).into()
    }
}
