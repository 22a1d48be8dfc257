//! Copies from the host that go on while the device computes: through page-locked memory, on a stream of their own.
//!
//! The device's own stream waits for an upload only where it reads it, so that the next batch is on its way while the step
//! before is still computed. What is uploaded lands in memory that belongs to no stream, and is copied from there in the
//! order of the device's work.

use cudarc::driver::{CudaDevice, DriverError, result, sys};
use std::ffi::c_void;
use std::ptr;

/// Uploads that may be under way: images and masks of two steps.
const SLOTS: usize = 4;

/// The places that uploads pass through, in turn. They live as long as the process.
#[derive(Debug)]
pub struct Uploads {
    stream: sys::CUstream,
    slots: [Slot; SLOTS],
    next: usize,
}

// SAFETY: handles and addresses that the driver gives out for all threads of the process; who uses them holds `&mut`.
unsafe impl Send for Uploads {}

/// A place for one upload.
#[derive(Debug)]
struct Slot {
    /// Page-locked memory of the host.
    host: *mut c_void,
    device: sys::CUdeviceptr,
    /// Bytes of each.
    bytes: usize,
    /// Recorded after the copy from `host`.
    copied: sys::CUevent,
    /// Recorded after the copy from `device`.
    used: sys::CUevent,
}

impl Uploads {
    /// Makes them in this thread's current context.
    pub fn new() -> Result<Self, DriverError> {
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
        let slots = [Slot::empty()?, Slot::empty()?, Slot::empty()?, Slot::empty()?];
        Ok(Self { stream, slots, next: 0 })
    }

    /// Copies numbers to `to`; work that is launched on `device` afterwards reads them there.
    ///
    /// # Safety
    /// `to` is followed by as many numbers, which belong to the order of `device`'s stream.
    pub unsafe fn copy(
        &mut self,
        device: &CudaDevice,
        numbers: &[f32],
        to: sys::CUdeviceptr,
    ) -> Result<(), DriverError> {
        let (bytes, work) = (size_of_val(numbers), *device.cu_stream());
        if bytes == 0 {
            return Ok(());
        }
        let slot = &mut self.slots[self.next];
        self.next = (self.next + 1) % SLOTS;
        slot.hold(bytes)?;
        // SAFETY: the slot has `bytes` bytes on both sides. Nothing reads `host` before `copied` is recorded anew, as
        // `hold` waited for the copy before; the copy stream writes `device` behind `used`, the device's own reads it
        // behind `copied`. The caller's promise holds for `to`.
        unsafe {
            ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), slot.host.cast::<u8>(), bytes);
            wait(self.stream, slot.used)?;
            sys::cuMemcpyHtoDAsync_v2(slot.device, slot.host, bytes, self.stream).result()?;
            result::event::record(slot.copied, self.stream)?;
            wait(work, slot.copied)?;
            result::memcpy_dtod_async(to, slot.device, bytes, work)?;
            result::event::record(slot.used, work)
        }
    }
}

impl Slot {
    fn empty() -> Result<Self, DriverError> {
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        Ok(Self { host: ptr::null_mut(), device: 0, bytes: 0, copied: event()?, used: event()? })
    }

    /// Waits until `host` may be written again, and has room for as many bytes.
    fn hold(&mut self, bytes: usize) -> Result<(), DriverError> {
        // SAFETY: events that live as long as the process; one that was never recorded is over.
        unsafe { sys::cuEventSynchronize(self.copied) }.result()?;
        if bytes <= self.bytes {
            return Ok(());
        }
        let host = std::mem::replace(&mut self.host, ptr::null_mut());
        let device = std::mem::replace(&mut self.device, 0);
        self.bytes = 0;
        // SAFETY: both come from the calls below; no copy uses them any more: `copied` and `used` are over.
        unsafe {
            sys::cuEventSynchronize(self.used).result()?;
            if !host.is_null() {
                sys::cuMemFreeHost(host).result()?;
            }
            if device != 0 {
                result::free_sync(device)?;
            }
        }
        // SAFETY: the driver writes an address where it is told to.
        unsafe { sys::cuMemAllocHost_v2(&mut self.host, bytes) }.result()?;
        // SAFETY: plain memory, of which nothing is read before it is written.
        self.device = unsafe { result::malloc_sync(bytes) }?;
        self.bytes = bytes;
        Ok(())
    }
}

/// Lets all later work on `stream` wait for `event`.
///
/// # Safety
/// Both are alive.
pub unsafe fn wait(stream: sys::CUstream, event: sys::CUevent) -> Result<(), DriverError> {
    // SAFETY: the caller's promise.
    unsafe { result::stream::wait_event(stream, event, sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use crate::kernels::device::Device;

    #[test]
    fn uploads_arrive_in_order_whatever_their_lengths() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let numbers = |n: usize| (0..n * 37 % 1000).map(|i| (n * 1000 + i) as f32).collect::<Vec<_>>();
        let upload = |n| gpu.zeros(numbers(n).len(), |y| gpu.upload(&numbers(n), y)).unwrap();
        let buffers: Vec<_> = (0..50).map(upload).collect();
        for (n, buffer) in buffers.iter().enumerate() {
            assert_eq!(gpu.download(buffer).unwrap(), numbers(n), "upload {n}");
        }
    }
}
