//! Where dfdx keeps the numbers of a tensor on the device.
//!
//! dfdx keeps a tensor's storage to itself. Its address is read from the derived `Debug` of dfdx 0.13.0 and cudarc
//! 0.9.15 (both pinned), in safe code; [`check_reading`] holds it against a copy made by documented functions only.

use crate::kernels::cuda::gpu::Gpu;
use cudarc::driver::{CudaDevice, result};
use dfdx::prelude::*;
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// dfdx's own device, on whose stream all work is ordered.
pub fn device(cuda: &Cuda) -> Result<Arc<CudaDevice>, CudaError> {
    /// The machine's only GPU, if it has one only: every [`Cuda`] is that one, with the same context and stream.
    static ONLY: Mutex<Option<Arc<CudaDevice>>> = Mutex::new(None);
    let mut only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = &*only {
        return Ok(device.clone());
    }
    // any buffer knows its device; the public functions lend it in no other way
    let device = <Cuda as Storage<f32>>::try_alloc_len(cuda, 0)?.device();
    if result::device::get_count()? == 1 {
        *only = Some(device.clone());
    }
    Ok(device)
}

/// Address and length in numbers of a contiguous tensor's storage.
///
/// # Panics
/// When the crates' `Debug` is not what it was, which [`check_reading`] finds first.
pub fn place<S: Shape>(t: &Tensor<S, f32, Cuda>) -> (u64, usize) {
    let (address, len) = read(t).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(len, t.shape().num_elements(), "a contiguous tensor holds as many numbers as its shape says");
    (address, len)
}

/// The address that is read of a tensor is not where its numbers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tensors cannot be found on the GPU: this program was built with a dfdx or cudarc that it was not written for ({found})"
)]
pub struct UnreadableAddress {
    /// How the tensor's `Debug` begins.
    found: String,
}

/// Checks that addresses are read correctly: the memory at a tensor's address must equal a copy made by documented functions.
///
/// # Errors
/// The outer error when the device fails, the inner one when an address is wrong.
pub fn check_reading(cuda: &Cuda, gpu: &Gpu) -> Result<Result<(), UnreadableAddress>, CudaError> {
    let values = vec![0.5, -1.25, 3.0, 1e-30, 7.0];
    let mut tensor = cuda.try_tensor_from_vec(values.clone(), (values.len(),))?;
    let (address, len) = match read(&tensor) {
        Ok(place) => place,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let wrong = || Ok(Err(UnreadableAddress { found: format!("{len} numbers at {address:#x}") }));
    if len != values.len() {
        return wrong();
    }
    let documented = documented_copy(cuda, &mut tensor)?;
    let mut found = vec![0.0; len];
    let copied = gpu.peek(address, &mut found);
    if copied.is_err() || found != documented || found != values {
        return wrong();
    }
    drop(tensor); // it lived until here
    Ok(Ok(()))
}

/// The numbers of a contiguous tensor, read without its address: dfdx's optimiser, at rate 0, writes them into a buffer
/// that tells its own, `velocity = 0 velocity + (0 gradient + 1 weight)`.
pub fn documented_copy<S: Shape>(cuda: &Cuda, tensor: &mut Tensor<S, f32, Cuda>) -> Result<Vec<f32>, CudaError> {
    let len = tensor.shape().num_elements();
    let mut copy = <Cuda as Storage<f32>>::try_alloc_len(cuda, len)?;
    let gradient = <Cuda as Storage<f32>>::try_alloc_len(cuda, len)?;
    let (momentum, weight_decay) = (Some(Momentum::Classic(0.0)), Some(WeightDecay::L2(1.0)));
    SgdConfig { lr: 0.0, momentum, weight_decay }.try_update(tensor, &mut copy, &gradient)?;
    Ok(copy.device().dtoh_sync_copy(&*copy)?)
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

#[cfg(test)]
mod tests;
