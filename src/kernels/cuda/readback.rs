//! Buffers on their way to the host while the device computes: into page-locked memory, on a stream of their own.

use super::buffer::Buffer;
use super::error::GpuError;
use super::gpu::Gpu;
use super::upload::wait;
use crate::kernels::readback::ReadbackKernel;
use cudarc::driver::{CudaDevice, DriverError, result, sys};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// A place in the order of the device's work.
#[derive(Debug)]
pub struct Mark(Event);

/// Transfers that were begun, and places for others.
#[derive(Debug)]
pub struct Readback {
    device: Arc<CudaDevice>,
    stream: sys::CUstream,
    under_way: VecDeque<Slot>,
    free: Vec<Slot>,
}

/// A place for one transfer.
#[derive(Debug)]
struct Slot {
    /// Page-locked memory of the host.
    host: *mut f32,
    /// How many numbers it has room for.
    room: usize,
    /// How many are brought there: none until all copies were begun and `copied` was recorded.
    len: usize,
    /// Recorded behind the copies to `host`.
    copied: Event,
    /// What is copied, kept until it is there.
    from: Vec<Buffer>,
}

/// An event of the driver, which ends with this.
#[derive(Debug)]
struct Event(sys::CUevent);

impl Event {
    /// One that was never recorded, in this thread's current context.
    fn new() -> Result<Self, DriverError> {
        result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).map(Self)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it comes from `create`, and nobody else has it; who waits for it goes on waiting. With a lost device it is lost.
        let _ = unsafe { sys::cuEventDestroy_v2(self.0) };
    }
}

impl Readback {
    fn new(device: Arc<CudaDevice>) -> Result<Self, DriverError> {
        device.bind_to_thread()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
        Ok(Self { device, stream, under_way: VecDeque::new(), free: Vec::new() })
    }

    /// A place for so many numbers: the smallest that has room, else the largest, which grows.
    fn slot(&mut self, len: usize) -> Result<Slot, DriverError> {
        self.free.sort_by_key(|slot| slot.room);
        let fits = self.free.iter().position(|slot| slot.room >= len).or(self.free.len().checked_sub(1));
        let mut slot = match fits {
            Some(place) => self.free.remove(place),
            None => Slot { host: ptr::null_mut(), room: 0, len: 0, copied: Event::new()?, from: Vec::new() },
        };
        slot.hold(len)?;
        Ok(slot)
    }

    fn begin(&mut self, from: Vec<Buffer>, mark: &Mark) -> Result<(), DriverError> {
        self.device.bind_to_thread()?;
        let len = from.iter().map(Buffer::len).sum();
        let mut slot = self.slot(len)?;
        slot.from = from;
        // from here on the slot is under way whatever fails: copies that were begun read `from` and write `host`
        self.under_way.push_back(slot);
        let Some(slot) = self.under_way.back_mut() else { return Ok(()) };
        // SAFETY: both are alive.
        unsafe { wait(self.stream, mark.0.0) }?;
        let mut place = 0;
        for buffer in &slot.from {
            if buffer.len() == 0 {
                continue;
            }
            // SAFETY: the buffer, which the slot keeps, has as many numbers, which nothing writes behind `mark`; `host` has room for those
            // of all buffers, and nothing else reads or writes it until `copied` is waited for.
            unsafe {
                let to = slot.host.add(place).cast::<c_void>();
                sys::cuMemcpyDtoHAsync_v2(to, buffer.address(), size_of::<f32>() * buffer.len(), self.stream)
                    .result()?;
            }
            place += buffer.len();
        }
        // SAFETY: both are alive.
        unsafe { result::event::record(slot.copied.0, self.stream) }?;
        slot.len = len;
        Ok(())
    }

    fn end(&mut self, numbers: &mut Vec<f32>) -> Result<(), DriverError> {
        let Some(slot) = self.under_way.front() else { return Ok(()) };
        self.device.bind_to_thread()?;
        // SAFETY: the event is alive.
        unsafe { sys::cuEventSynchronize(slot.copied.0) }.result()?;
        numbers.extend_from_slice(slot.numbers());
        if let Some(mut slot) = self.under_way.pop_front() {
            slot.from.clear();
            self.free.push(slot);
        }
        Ok(())
    }
}

impl Drop for Readback {
    fn drop(&mut self) {
        // SAFETY: the stream comes from `create`; no copy is under way once it is waited for, so that the memory of none is freed under
        // it. With a lost device all of it is lost.
        unsafe {
            let _ = self.device.bind_to_thread();
            let _ = sys::cuStreamSynchronize(self.stream);
            for mut slot in self.under_way.drain(..).chain(self.free.drain(..)) {
                let _ = slot.let_go();
            }
            let _ = sys::cuStreamDestroy_v2(self.stream);
        }
    }
}

impl Slot {
    /// What was brought here.
    fn numbers(&self) -> &[f32] {
        match self.len {
            0 => &[],
            // SAFETY: `host` has room for them, and all were written: `copied` was waited for.
            len => unsafe { std::slice::from_raw_parts(self.host, len) },
        }
    }

    /// Makes room for so many numbers, with no copy under way.
    fn hold(&mut self, len: usize) -> Result<(), DriverError> {
        self.len = 0;
        if len <= self.room {
            return Ok(());
        }
        // SAFETY: a free slot's copies are over.
        unsafe { self.let_go() }?;
        let mut host = ptr::null_mut();
        // SAFETY: the driver writes an address where it is told to.
        unsafe { sys::cuMemAllocHost_v2(&mut host, size_of::<f32>() * len) }.result()?;
        (self.host, self.room) = (host.cast(), len);
        Ok(())
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// No copy to it is under way.
    unsafe fn let_go(&mut self) -> Result<(), DriverError> {
        self.room = 0;
        match std::mem::replace(&mut self.host, ptr::null_mut()) {
            host if host.is_null() => Ok(()),
            // SAFETY: it comes from `hold`, and the caller promises that nothing uses it.
            host => unsafe { sys::cuMemFreeHost(host.cast()) }.result(),
        }
    }
}

impl ReadbackKernel for Gpu {
    type Mark = Mark;
    type Readback = Readback;

    fn mark(&self) -> Result<Mark, GpuError> {
        self.device().bind_to_thread()?;
        let event = Event::new()?;
        // SAFETY: both are alive.
        unsafe { result::event::record(event.0, *self.device().cu_stream()) }?;
        Ok(Mark(event))
    }

    fn readback(&self) -> Result<Readback, GpuError> {
        Ok(Readback::new(self.device().clone())?)
    }

    fn begin_readback(&self, under_way: &mut Readback, from: Vec<Buffer>, mark: &Mark) -> Result<(), GpuError> {
        Ok(under_way.begin(from, mark)?)
    }

    fn end_readback(&self, under_way: &mut Readback, numbers: &mut Vec<f32>) -> Result<(), GpuError> {
        Ok(under_way.end(numbers)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use crate::kernels::device::Device;
    use crate::kernels::readback::ReadbackKernel;

    #[test]
    fn transfers_end_in_their_order_whatever_their_lengths() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        let numbers = |n: usize| (0..n * 37 % 1000).map(|i| (n * 1000 + i) as f32).collect::<Vec<_>>();
        let buffer = |n: usize| gpu.uninit(numbers(n).len(), |y| gpu.upload(&numbers(n), y)).unwrap();
        let mut under_way = gpu.readback().unwrap();
        let mut begun = 0;
        for ended in 0..20 {
            // at most four under way
            while begun < (ended + 4).min(20) {
                let from = [3 * begun, 3 * begun + 1, 3 * begun + 2].map(buffer).into();
                gpu.begin_readback(&mut under_way, from, &gpu.mark().unwrap()).unwrap();
                // what takes the memory that buffers leave
                drop(gpu.zeros(1000, |_| Ok(())).unwrap());
                begun += 1;
            }
            let mut found = vec![-1.0];
            gpu.end_readback(&mut under_way, &mut found).unwrap();
            let wanted = [3 * ended, 3 * ended + 1, 3 * ended + 2].map(numbers).concat();
            assert_eq!(found, [&[-1.0], &wanted[..]].concat(), "transfer {ended}");
        }
        let mut found = Vec::new();
        gpu.end_readback(&mut under_way, &mut found).unwrap();
        assert!(found.is_empty(), "none is under way");
        // one that nobody waits for
        gpu.begin_readback(&mut under_way, vec![buffer(7)], &gpu.mark().unwrap()).unwrap();
    }
}
