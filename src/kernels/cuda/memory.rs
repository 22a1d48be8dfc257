//! Tensors, gradients, frozen weights and temporary buffers as device addresses.
//!
//! dfdx keeps a tensor's storage to itself. Its address is read from the derived `Debug` of dfdx 0.13.0 and cudarc
//! 0.9.15 (both pinned), in safe code; [`check_reading`] holds it against a copy made by documented functions only.

use super::launch::Stream;
use crate::kernels::precision::Precision;
use crate::nn::{Buffer, Memory};
use cudarc::cublas::{result::CublasError, sys::cublasStatus_t};
use cudarc::driver::{CudaDevice, CudaSlice, DevicePtr, DeviceSlice, DriverError, result, sys};
use dfdx::prelude::*;
use half::bf16;
use std::any::Any;
use std::fmt::{self, Debug, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Numbers as products take them, row-major: frozen weights, and factors made for one product.
#[derive(Debug)]
pub enum Numbers {
    /// Single precision.
    F32(CudaSlice<f32>),
    /// Single precision stored, of which products see 10 bits of mantissa.
    Tf32(CudaSlice<f32>),
    /// bf16, as its bits.
    Bf16(CudaSlice<u16>),
}

impl Numbers {
    /// Whatever the memory holds: for factors that a kernel writes throughout before a product reads them.
    pub fn uninit(device: &Arc<CudaDevice>, len: usize, precision: Precision) -> Result<Self, CudaError> {
        // SAFETY: as in `Scratch::uninit`.
        Ok(unsafe {
            match precision {
                Precision::F32 => Self::F32(device.alloc(len)?),
                Precision::Tf32 => Self::Tf32(device.alloc(len)?),
                Precision::Bf16 => Self::Bf16(device.alloc(len)?),
            }
        })
    }

    /// What products with them are computed in.
    pub fn precision(&self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::Tf32(_) => Precision::Tf32,
            Self::Bf16(_) => Precision::Bf16,
        }
    }

    /// Of the first number.
    pub fn address(&self) -> u64 {
        match self {
            Self::F32(slice) | Self::Tf32(slice) => *slice.device_ptr(),
            Self::Bf16(slice) => *slice.device_ptr(),
        }
    }

    /// How many numbers there are.
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

    /// As what products of a precision take that stores its factors as they are.
    pub fn into_factor(self, precision: Precision) -> Numbers {
        match precision {
            Precision::F32 => Numbers::F32(self.0),
            Precision::Tf32 => Numbers::Tf32(self.0),
            Precision::Bf16 => unreachable!("a kernel rounds"),
        }
    }
}

impl From<Scratch> for View {
    fn from(scratch: Scratch) -> Self {
        Self { address: scratch.address(), len: scratch.len(), _owner: Box::new(scratch) }
    }
}

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
pub fn offered(device: &CudaDevice, precision: Precision) -> Precision {
    if capability(device) >= TENSOR_CORES { precision } else { Precision::F32 }
}

impl Memory for Cuda {
    type Frozen = Arc<Numbers>;
    type View = View;
    type Out<'a> = Out<'a>;

    fn describe(&self) -> String {
        format!("cuda (GPU {})", device(self).map_or(0, |device| device.ordinal()))
    }

    fn explain(error: &CudaError) -> String {
        use sys::CUresult::*;
        const OUT_OF_MEMORY: &str =
            "the GPU is out of memory: smaller batches, a smaller side, less that is kept, or bf16 need less";
        let error = match error {
            CudaError::Driver(error) => error,
            CudaError::Blas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED)) => return OUT_OF_MEMORY.into(),
            CudaError::Blas(CublasError(cublasStatus_t::CUBLAS_STATUS_EXECUTION_FAILED)) => {
                return "the GPU is lost (CUBLAS_STATUS_EXECUTION_FAILED): look at nvidia-smi, then begin again".into();
            }
            other => return other.to_string(),
        };
        match error.0 {
            CUDA_ERROR_OUT_OF_MEMORY => OUT_OF_MEMORY.into(),
            CUDA_ERROR_NOT_SUPPORTED => "the GPU's kernels do not know this size, such as a head of more than 320 \
                                         numbers or a product of 2^31 rows: the CPU, or a smaller batch, computes it"
                .into(),
            CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_UNKNOWN => format!("the GPU is lost ({}): look at nvidia-smi, then begin again", name(*error)),
            _ => format!("the GPU says {}", name(*error)),
        }
    }

    fn offers(&self, precision: Precision) -> bool {
        precision == Precision::F32 || device(self).is_ok_and(|device| offered(&device, precision) == precision)
    }

    fn needs(precision: Precision) -> &'static str {
        match precision {
            Precision::F32 => "nothing more",
            Precision::Tf32 | Precision::Bf16 => "a GPU of compute capability 8.0 or newer",
        }
    }

    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Arc<Numbers>, CudaError> {
        let device = device(self)?;
        Ok(Arc::new(match (shape, offered(&device, precision)) {
            ([_, _], Precision::Bf16) => {
                let bits: Vec<u16> = values.into_iter().map(|v| bf16::from_f32(v).to_bits()).collect();
                Numbers::Bf16(device.htod_sync_copy(&bits)?)
            }
            ([_, _], Precision::Tf32) => Numbers::Tf32(device.htod_sync_copy(&values)?),
            _ => Numbers::F32(device.htod_sync_copy(&values)?),
        }))
    }

    fn thaw(&self, weight: &Arc<Numbers>) -> Result<Vec<f32>, CudaError> {
        match &**weight {
            Numbers::F32(slice) | Numbers::Tf32(slice) => Ok(slice.device().dtoh_sync_copy(slice)?),
            Numbers::Bf16(slice) => {
                let bits = slice.device().dtoh_sync_copy(slice)?;
                Ok(bits.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect())
            }
        }
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> View {
        let (address, len) = place(t);
        View { address, len, _owner: Box::new(t.clone()) }
    }

    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, CudaError> {
        let (address, len) = place(t);
        let mut numbers = vec![0.0; len];
        let device = device(self)?;
        device.bind_to_thread()?;
        // SAFETY: the tensor, which is borrowed, has `len` numbers there, and as many are written, in the order of dfdx's work
        // and before this function ends.
        unsafe { result::memcpy_dtoh_async(&mut numbers, address, *device.cu_stream()) }?;
        device.synchronize()?;
        Ok(numbers)
    }

    fn store(&self, numbers: &[f32]) -> Result<Buffer<Self>, CudaError> {
        let mut buffer = <Self as Storage<f32>>::try_alloc_len(self, numbers.len())?;
        buffer.device().htod_sync_copy_into(numbers, &mut *buffer)?;
        Ok(buffer)
    }

    fn fetch(&self, buffer: &Buffer<Self>) -> Result<Vec<f32>, CudaError> {
        Ok(buffer.device().dtoh_sync_copy(buffer)?)
    }

    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, CudaError> {
        assert_eq!(numbers.len(), shape.num_elements());
        self.build(shape, |y| Stream::of(self)?.upload(numbers, y))
    }

    fn lags(&self) -> bool {
        true
    }

    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&View, Out<'_>) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let old = self.view(t);
        // dfdx gives the tensor storage of its own first, as `old` shares what it had
        t.try_fill_with_zeros()?;
        let (address, len) = place(t);
        assert_ne!(address, old.address(), "a tensor that changes leaves its views alone");
        fill(&old, Out { address, len, borrowed: PhantomData })
    }

    fn peak_bytes(&self) -> Option<u64> {
        let device = device(self).ok()?;
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

    fn overwrite(
        &self,
        length: usize,
        write: impl FnOnce(Out<'_>) -> Result<(), CudaError>,
    ) -> Result<View, CudaError> {
        let scratch = Scratch::uninit(&device(self)?, length)?;
        write(Out { address: scratch.address(), len: length, borrowed: PhantomData })?;
        Ok(scratch.into())
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

/// The driver's own name of an error. cudarc's `Debug` asks the driver too, and panics where it does not know.
pub fn name(error: DriverError) -> String {
    error.error_name().map_or("an unknown error".into(), |name| name.to_string_lossy().into_owned())
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

/// The address that is read of a tensor is not where its numbers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tensors cannot be found on the GPU: this program was built with a dfdx or cudarc that it was not written for ({found})"
)]
pub struct UnreadableAddress {
    /// How the tensor's `Debug` begins.
    found: String,
}

/// Whether addresses are read rightly: what lies at the address of a tensor is what the documented functions copy from
/// it.
///
/// # Errors
/// The device's, or that they are not.
pub fn check_reading(cuda: &Cuda) -> Result<Result<(), UnreadableAddress>, CudaError> {
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
    device(cuda)?.bind_to_thread()?;
    // SAFETY: the driver copies `len` numbers into as many, and refuses an address that is none of the device's.
    let copied = unsafe { result::memcpy_dtoh_sync(&mut found, address) };
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
mod tests {
    use super::super::open::tested_gpu;
    use super::*;

    /// What lies at a view's address.
    fn contents(cuda: &Cuda, view: &View) -> Vec<f32> {
        let mut numbers = vec![0.0; view.len()];
        device(cuda).unwrap().bind_to_thread().unwrap();
        // SAFETY: the driver refuses an address that is none of the device's.
        unsafe { result::memcpy_dtoh_sync(&mut numbers, view.address()) }.unwrap();
        numbers
    }

    #[test]
    fn addresses_lead_where_the_documented_functions_copy_from() {
        let Some(cuda) = tested_gpu() else {
            return;
        };
        check_reading(&cuda).unwrap().unwrap();
        fn check<S: ConstShape>(cuda: &Cuda) {
            let values: Vec<f32> = (0..S::NUMEL).map(|i| i as f32 * 0.37 - 11.0).collect();
            let mut tensor: Tensor<S, f32, Cuda> = cuda.tensor_from_vec(values.clone(), S::default());
            assert_eq!(contents(cuda, &cuda.view(&tensor)), values);
            assert_eq!(documented_copy(cuda, &mut tensor).unwrap(), values);
            assert_eq!(contents(cuda, &cuda.view(&tensor)), values, "still there, wherever the copy moved it");
        }
        check::<()>(&cuda);
        check::<Rank1<1>>(&cuda);
        check::<Rank1<1000>>(&cuda);
        check::<Rank4<2, 3, 5, 7>>(&cuda);
        // a buffer of which the address may be asked
        let mut buffer = <Cuda as Storage<f32>>::try_alloc_len(&cuda, 3).unwrap();
        assert_eq!(Cuda::out(&mut buffer).address(), *buffer.device_ptr());
    }

    #[test]
    fn a_view_keeps_its_numbers() {
        let Some(cuda) = tested_gpu() else {
            return;
        };
        let mut tensor: Tensor<Rank1<3>, f32, Cuda> = cuda.tensor([1.0, 2.0, 3.0]);
        let view = cuda.view(&tensor);
        tensor.copy_from(&[4.0, 5.0, 6.0]);
        assert_eq!(contents(&cuda, &view), [1.0, 2.0, 3.0], "a tensor that changes leaves its views alone");
        assert_eq!(contents(&cuda, &cuda.view(&tensor)), [4.0, 5.0, 6.0]);
        drop(tensor);
        assert_eq!(contents(&cuda, &view), [1.0, 2.0, 3.0], "a tensor's end, too");
    }

    #[test]
    fn a_renewed_tensor_leaves_its_copies_alone() {
        let Some(cuda) = tested_gpu() else {
            return;
        };
        let mut tensor: Tensor<Rank1<3>, f32, Cuda> = cuda.tensor([1.0, f32::INFINITY, -0.0]);
        let (copy, view) = (tensor.clone(), cuda.view(&tensor));
        for shared in [true, false] {
            let before = cuda.read(&tensor).unwrap();
            cuda.renew(&mut tensor, |old, _| {
                assert_eq!(contents(&cuda, old), before);
                Ok(())
            })
            .unwrap();
            assert_eq!(cuda.read(&tensor).unwrap(), [0.0; 3], "shared: {shared}");
        }
        let first = contents(&cuda, &view);
        assert!(first == cuda.read(&copy).unwrap() && first == [1.0, f32::INFINITY, -0.0]);
    }

    #[test]
    fn buffers_come_back_and_are_counted() {
        let Some(cuda) = tested_gpu() else {
            return;
        };
        let numbers: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
        let buffer = cuda.store(&numbers).unwrap();
        assert_eq!(cuda.fetch(&buffer).unwrap(), numbers);
        assert!(cuda.peak_bytes().unwrap() >= 400_000);
    }

    #[test]
    fn frozen_weights_come_back() {
        let Some(cuda) = tested_gpu() else {
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
            if !cuda.offers(precision) {
                continue;
            }
            let frozen = cuda.freeze(values.clone(), shape, precision).unwrap();
            assert_eq!(frozen.len(), 35);
            let found = match &*frozen {
                Numbers::F32(slice) | Numbers::Tf32(slice) => slice.num_bytes(),
                Numbers::Bf16(slice) => slice.num_bytes(),
            };
            assert_eq!(found, bytes * 35, "{precision:?}");
            assert!(frozen.precision() == if shape.len() == 2 { precision } else { Precision::F32 });
            assert_eq!(cuda.thaw(&frozen).unwrap(), *held);
        }
    }

    #[test]
    fn an_address_is_read_from_the_debug_of_the_pinned_versions_only() {
        let good = "Tensor { id: UniqueId(7), data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 140234, len: 12, \
                    device: CudaDevice { cu_device: 0";
        assert_eq!(parse(good), Some((140_234, 12)));
        let spoilt = [
            ("Tensor {", "Array {"),
            ("UniqueId(7)", "UniqueId(seven)"),
            ("CachableCudaSlice", "Storage"),
            ("cu_device_ptr", "ptr"),
            ("140234", "0x140234"),
            ("len: 12", "len: 12.0"),
            ("len: 12, ", "len: 12, offset: 4, "),
            (", device: CudaDevice { cu_device: 0", ""),
        ];
        for (part, other) in spoilt {
            assert!(good.contains(part));
            assert_eq!(parse(&good.replace(part, other)), None, "{other}");
        }
    }

    #[test]
    fn a_mismatch_says_what_it_found() {
        #[derive(Debug)]
        struct Other {
            _data: Vec<u8>,
        }
        let error = read(&Other { _data: vec![1; 1000] }).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("was not written for") && text.contains("Other { _data: [1, 1"), "{text}");
        assert!(text.len() < 400, "{text}");
    }

    #[test]
    fn the_longest_numbers_fit() {
        #[derive(Debug)]
        #[allow(dead_code)]
        struct Tensor {
            id: UniqueId,
            data: CachableCudaSlice,
        }
        #[derive(Debug)]
        #[allow(dead_code)]
        struct UniqueId(usize);
        #[derive(Debug)]
        #[allow(dead_code)]
        struct CachableCudaSlice {
            data: CudaSlice,
        }
        #[derive(Debug)]
        #[allow(dead_code)]
        struct CudaSlice {
            cu_device_ptr: u64,
            len: usize,
            device: CudaDevice,
        }
        #[derive(Debug)]
        #[allow(dead_code)]
        struct CudaDevice {
            name: &'static str,
        }
        let (cu_device_ptr, len, device) = (u64::MAX, usize::MAX, CudaDevice { name: "of no importance" });
        let data = CachableCudaSlice { data: CudaSlice { cu_device_ptr, len, device } };
        assert_eq!(read(&Tensor { id: UniqueId(usize::MAX), data }), Ok((u64::MAX, usize::MAX)));
    }
}
