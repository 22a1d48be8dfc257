//! Tensors, gradients, frozen weights and temporary buffers as device addresses.
//!
//! dfdx keeps a tensor's storage to itself. Its address is read from the derived `Debug` of dfdx 0.13.0 and cudarc
//! 0.9.15 (both pinned), in safe code; [`check_reading`] holds it against a copy made by documented functions only.

use crate::nn::backend::{Buffer, Memory};
use cudarc::driver::{CudaDevice, CudaSlice, DevicePtr, DeviceSlice};
use dfdx::prelude::*;
use std::any::Any;
use std::fmt::{self, Debug, Write};
use std::marker::PhantomData;
use std::sync::Arc;

/// Numbers on the device to read; they live as long as the view.
#[derive(Debug)]
pub struct View {
    address: u64,
    len: usize,
    /// The tensor or buffer that the address belongs to.
    _owner: Box<dyn Any>,
}

impl View {
    /// Of the first number.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many numbers there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    fn of_buffer(buffer: Buffer<Cuda>) -> Self {
        Self { address: *buffer.device_ptr(), len: buffer.len(), _owner: Box::new(buffer) }
    }
}

/// Numbers on the device to write, borrowed from a tensor or gradient.
#[derive(Debug)]
pub struct Out<'a> {
    address: u64,
    len: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl Out<'_> {
    /// Of the first number.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many numbers there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// A frozen weight's numbers, row-major as they were given.
#[derive(Debug)]
pub enum Numbers {
    /// Single precision.
    F32(CudaSlice<f32>),
}

impl Numbers {
    /// Of the first number.
    pub fn address(&self) -> u64 {
        match self {
            Self::F32(slice) => *slice.device_ptr(),
        }
    }

    /// How many numbers there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(slice) => slice.len(),
        }
    }
}

/// A temporary buffer of single precision numbers. It may be dropped as soon as the last kernel that uses it has been
/// launched: the device frees it in the order of its work.
#[derive(Debug)]
pub struct Scratch(CudaSlice<f32>);

impl Scratch {
    /// All zeros.
    pub fn zeros(device: &Arc<CudaDevice>, len: usize) -> Result<Self, CudaError> {
        Ok(Self(device.alloc_zeros(len)?))
    }

    /// Whatever the memory holds: for buffers that a kernel writes throughout before any other reads them.
    pub fn uninit(device: &Arc<CudaDevice>, len: usize) -> Result<Self, CudaError> {
        // SAFETY: every bit pattern is a number; nothing of undefined value reaches the host, as only kernels see it.
        Ok(Self(unsafe { device.alloc(len) }?))
    }

    /// Of the first number.
    pub fn address(&self) -> u64 {
        *self.0.device_ptr()
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// dfdx's own device, on whose stream all work is ordered.
pub fn device(cuda: &Cuda) -> Result<Arc<CudaDevice>, CudaError> {
    // any buffer knows its device; the public functions lend it in no other way
    Ok(<Cuda as Storage<f32>>::try_alloc_len(cuda, 0)?.device())
}

impl Memory for Cuda {
    type Frozen = Arc<Numbers>;
    type View = View;
    type Out<'a> = Out<'a>;

    fn freeze(&self, values: Vec<f32>, _shape: &[usize]) -> Result<Arc<Numbers>, CudaError> {
        Ok(Arc::new(Numbers::F32(device(self)?.htod_sync_copy(&values)?)))
    }

    fn thaw(&self, weight: &Arc<Numbers>) -> Result<Vec<f32>, CudaError> {
        let Numbers::F32(slice) = &**weight;
        Ok(slice.device().dtoh_sync_copy(slice)?)
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> View {
        let (address, len) = place(t);
        View { address, len, _owner: Box::new(t.clone()) }
    }

    fn take(&self, slot: &mut Buffer<Self>) -> Result<View, CudaError> {
        let empty = <Self as Storage<f32>>::try_alloc_len(self, 0)?;
        Ok(View::of_buffer(std::mem::replace(slot, empty)))
    }

    fn out(buffer: &mut Buffer<Self>) -> Out<'_> {
        Out { address: *buffer.device_ptr(), len: buffer.len(), borrowed: PhantomData }
    }

    fn fill(&self, length: usize, fill: impl FnOnce(Out<'_>) -> Result<(), CudaError>) -> Result<View, CudaError> {
        let mut buffer = <Self as Storage<f32>>::try_alloc_len(self, length)?;
        fill(Self::out(&mut buffer))?;
        Ok(View::of_buffer(buffer))
    }

    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(Out<'_>) -> Result<R, CudaError>,
    ) -> Result<(Tensor<S, f32, Self>, R), CudaError> {
        let y: Tensor<S, f32, Self> = self.try_zeros_like(&shape)?;
        let (address, len) = place(&y);
        let extra = fill(Out { address, len, borrowed: PhantomData })?;
        Ok((y, extra))
    }
}

/// Address and length of a contiguous tensor's storage.
///
/// # Panics
/// When the crates' `Debug` is not what it was, which [`check_reading`] finds first.
fn place<S: Shape>(t: &Tensor<S, f32, Cuda>) -> (u64, usize) {
    let (address, len) = read(t).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(len, t.shape().num_elements(), "a contiguous tensor holds as many numbers as its shape says");
    (address, len)
}

/// The `Debug` of a tensor does not begin as that of dfdx 0.13.0 and cudarc 0.9.15.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of a tensor cannot be read: this build's dfdx or cudarc is none that it was written for ({found})"
)]
pub struct UnreadableAddress {
    /// What it begins with.
    found: String,
}

/// Address and length, from the beginning of a tensor's derived `Debug`.
fn read(t: &impl Debug) -> Result<(u64, usize), UnreadableAddress> {
    let mut start = Start { text: [0; 176], len: 0 };
    // an error by design: it ends the formatting before it reaches the device
    let _ = write!(start, "{t:?}");
    let text = String::from_utf8_lossy(&start.text[..start.len]);
    parse(&text).ok_or_else(|| UnreadableAddress { found: text.into_owned() })
}

fn parse(text: &str) -> Option<(u64, usize)> {
    let (id, rest) = text
        .strip_prefix("Tensor { id: UniqueId(")?
        .split_once("), data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: ")?;
    id.parse::<usize>().ok()?;
    let (address, rest) = rest.split_once(", len: ")?;
    let (len, _) = rest.split_once(", device: CudaDevice")?;
    Some((address.parse().ok()?, len.parse().ok()?))
}

/// Takes the first characters of what is formatted and refuses the rest.
struct Start {
    /// Long enough for three numbers of twenty digits and the words between them.
    text: [u8; 176],
    len: usize,
}

impl Write for Start {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = &mut self.text[self.len..];
        let taken = more.len().min(room.len());
        room[..taken].copy_from_slice(&more.as_bytes()[..taken]);
        self.len += taken;
        if taken == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
