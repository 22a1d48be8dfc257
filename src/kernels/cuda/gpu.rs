//! A GPU: its kernels, loaded on first use and launched on one stream, temporary buffers, and copies to and from the
//! host.

use super::buffer::{Buffer, Operand, Scratch};
use super::error::GpuError;
use super::ptx::{Arg, Kernels, Signature, THREADS, over};
use super::upload::Uploads;
use super::view::SliceMut;
use crate::kernels::precision::Precision;
use cudarc::cublas::CudaBlas;
use cudarc::driver::{CudaDevice, DriverError, result, sys};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// An NVIDIA GPU. All work goes to one stream, that of the [`CudaDevice`] it was made from, and is done in that order.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Arc<CudaDevice>,
    tools: Arc<Tools>,
}

/// What kernels need besides cudarc's device: loaded kernels and a cuBLAS handle. Made on first use and kept by the process,
/// which also keeps the device's context alive through the handle.
#[derive(Debug)]
struct Tools {
    /// Locked for a call: what one splits in several kernels shares a workspace.
    blas: Mutex<CudaBlas>,
    /// Locked while a file is compiled for the card, which takes seconds.
    loading: Mutex<()>,
    /// By module and kernel.
    functions: RwLock<BTreeMap<[&'static str; 2], Function>>,
    uploads: Mutex<Uploads>,
}

impl Tools {
    fn new(device: &Arc<CudaDevice>) -> Result<Self, GpuError> {
        device.bind_to_thread()?;
        keep_freed_memory(device);
        let (blas, uploads) = (Mutex::new(CudaBlas::new(device.clone())?), Mutex::new(Uploads::new()?));
        Ok(Self { blas, loading: Mutex::default(), functions: RwLock::default(), uploads })
    }
}

/// Lets the driver keep memory that is freed for what is allocated next, where it would give it back whenever the host waits
/// for the device. A driver without pools has none to keep.
fn keep_freed_memory(device: &CudaDevice) {
    let (mut pool, mut all) = (std::ptr::null_mut(), u64::MAX);
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the driver writes a handle where it is told to, and reads 64 bits for this attribute.
    let _ = unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, *device.cu_device())
            .result()
            .and_then(|()| sys::cuMemPoolSetAttribute(pool, threshold, std::ptr::from_mut(&mut all).cast()).result())
    };
}

/// A loaded kernel.
#[derive(Clone, Debug)]
struct Function {
    handle: sys::CUfunction,
    signature: Signature,
}

// SAFETY: a handle that the driver gives out for all threads of the process.
unsafe impl Send for Function {}
// SAFETY: as above; it is never written through.
unsafe impl Sync for Function {}

impl Gpu {
    /// A GPU for work on this device's own stream.
    ///
    /// # Errors
    /// When its driver or cuBLAS refuses.
    pub fn on(device: Arc<CudaDevice>) -> Result<Self, GpuError> {
        static DEVICES: Mutex<BTreeMap<usize, Arc<Tools>>> = Mutex::new(BTreeMap::new());
        let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = match devices.entry(device.ordinal()) {
            Entry::Occupied(tools) => tools.get().clone(),
            Entry::Vacant(place) => place.insert(Arc::new(Tools::new(&device)?)).clone(),
        };
        Ok(Self { device, tools })
    }

    /// The device.
    pub fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// A cuBLAS handle on this stream.
    pub fn blas(&self) -> MutexGuard<'_, CudaBlas> {
        self.tools.blas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A temporary buffer that a kernel writes throughout before any other reads it.
    pub fn scratch(&self, len: usize) -> Result<Scratch, GpuError> {
        Scratch::uninit(&self.device, len)
    }

    /// An operand that a kernel writes throughout before a product of this precision reads it.
    pub fn operand(&self, len: usize, precision: Precision) -> Result<Operand, GpuError> {
        Operand::uninit(&self.device, len, precision)
    }

    /// Copies numbers from the host; the copy overlaps with work launched before.
    pub fn upload(&self, numbers: &[f32], to: SliceMut<'_>) -> Result<(), GpuError> {
        assert_eq!(numbers.len(), to.len());
        self.device.bind_to_thread()?;
        let mut uploads = self.tools.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as many numbers are there, which belong to the order of the device's work.
        Ok(unsafe { uploads.copy(&self.device, numbers, to.address()) }?)
    }

    /// Brings numbers to the host, which waits for all work that they depend on.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn download(&self, from: &Buffer) -> Result<Vec<f32>, GpuError> {
        let mut numbers = vec![0.0; from.len()];
        self.device.bind_to_thread()?;
        // SAFETY: the buffer, which is borrowed, has as many numbers; they are written in the order of the device's work and
        // before this function ends.
        unsafe { result::memcpy_dtoh_async(&mut numbers, from.address(), *self.device.cu_stream()) }?;
        self.device.synchronize()?;
        Ok(numbers)
    }

    /// Reads what lies at an address that may be none.
    ///
    /// # Errors
    /// When it is none of the device's.
    pub fn peek(&self, address: u64, numbers: &mut [f32]) -> Result<(), GpuError> {
        self.device.bind_to_thread()?;
        // SAFETY: the driver copies into as many numbers as there are, and refuses an address that is none of the device's.
        Ok(unsafe { result::memcpy_dtoh_sync(numbers, address) }?)
    }

    /// Copies numbers on the device.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn copy(&self, from: &Buffer, to: SliceMut<'_>) -> Result<(), GpuError> {
        assert_eq!(from.len(), to.len());
        self.device.bind_to_thread()?;
        let bytes = size_of::<f32>() * from.len();
        // SAFETY: both have as many numbers, and `to` is borrowed alone.
        Ok(unsafe { result::memcpy_dtod_async(to.address(), from.address(), bytes, *self.device.cu_stream()) }?)
    }

    /// Launches a kernel; `shared` is the dynamic shared memory of a block in bytes, at most 48 KiB with the static one.
    /// A grid of no block launches nothing.
    ///
    /// # Panics
    /// When the arguments differ in number or type from what the kernel's PTX declares.
    ///
    /// # Safety
    /// The arguments are the kernel's own, in its order; each address is followed by as many numbers as
    /// the kernel reads or writes there; no two written places overlap.
    pub unsafe fn launch<const N: usize>(
        &self,
        kernels: Kernels,
        kernel: &'static str,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        mut args: [Arg; N],
    ) -> Result<(), GpuError> {
        if grid.contains(&0) {
            return Ok(());
        }
        self.device.bind_to_thread()?;
        let function = self.function(kernels, kernel, &args)?;
        let mut pointers = args.each_mut().map(Arg::pointer);
        let stream = *self.device.cu_stream();
        // SAFETY: the caller's promise, and `function` found as many arguments, of the types, as the kernel takes; each
        // pointer leads to the bytes of one, which the driver copies before this call returns.
        unsafe { result::launch_kernel(function, grid.into(), block.into(), shared, stream, &mut pointers) }?;
        Ok(())
    }

    /// Launches an elementwise kernel, one thread of blocks of [`THREADS`] to each of `n` numbers.
    ///
    /// # Safety
    /// As [`launch`](Self::launch).
    pub unsafe fn launch_over<const N: usize>(
        &self,
        n: usize,
        kernels: Kernels,
        kernel: &'static str,
        args: [Arg; N],
    ) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        unsafe { self.launch(kernels, kernel, over(n), [THREADS, 1, 1], 0, args) }
    }

    /// A kernel, whose file is loaded at first need, for a launch with these arguments.
    fn function(&self, kernels: Kernels, kernel: &'static str, args: &[Arg]) -> Result<sys::CUfunction, GpuError> {
        let name = [kernels.name, kernel];
        let known = |tools: &Tools| {
            let functions = tools.functions.read().unwrap_or_else(PoisonError::into_inner);
            let Function { handle, signature } = functions.get(&name)?;
            signature.check(args).unwrap_or_else(|wrong| panic!("{wrong}"));
            Some(*handle)
        };
        if let Some(function) = known(&self.tools) {
            return Ok(function);
        }
        let _alone = self.tools.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // another thread may have loaded it meanwhile
        if let Some(function) = known(&self.tools) {
            return Ok(function);
        }
        self.load(kernels)?;
        Ok(known(&self.tools).ok_or(DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))?)
    }

    /// Loads the kernels of a file.
    pub fn load(&self, kernels: Kernels) -> Result<(), GpuError> {
        self.device.bind_to_thread()?;
        let text = CString::new(kernels.ptx).unwrap_or_else(|_| unreachable!("PTX is text"));
        // SAFETY: the text ends with a zero; the module is never unloaded.
        let module = unsafe { result::module::load_data(text.as_ptr().cast()) }?;
        let mut functions = self.tools.functions.write().unwrap_or_else(PoisonError::into_inner);
        for signature in kernels.signatures() {
            let text = CString::new(signature.name).unwrap_or_else(|_| unreachable!("PTX is text"));
            // SAFETY: the module was loaded above.
            let handle = unsafe { result::module::get_function(module, text) }?;
            functions.insert([kernels.name, signature.name], Function { handle, signature });
        }
        Ok(())
    }
}

/// The compute capability from which on cards multiply bf16 and TF32.
const TENSOR_CORES: [i32; 2] = [8, 0];

/// Major and minor compute capability, zeros where the driver does not tell.
pub fn capability(device: &CudaDevice) -> [i32; 2] {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    [MAJOR, MINOR].map(|part| device.attribute(part).unwrap_or(0))
}

/// The precision, or single precision where the card does not multiply in it.
pub fn supported(device: &CudaDevice, precision: Precision) -> Precision {
    if capability(device) >= TENSOR_CORES { precision } else { Precision::F32 }
}
