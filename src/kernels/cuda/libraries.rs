//! NVIDIA's libraries, loaded when they are first called: a program with this feature starts without them, and computes on
//! the CPU.
//!
//! cudarc links with the libraries. For each function that it calls, this file defines one of the same name, which jumps to the
//! address in its slot, so that the linker needs no library. At first a slot leads to code that looks the function up and
//! fills the slot. Functions of a missing library return an error; opening a GPU says which library is missing.
//!
//! For Linux on x86-64; elsewhere the libraries are linked as usual.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One of NVIDIA's libraries.
struct Library {
    /// Possible names, the newest first, each with the major version of the driver that it needs.
    names: &'static [(&'static CStr, c_int)],
    /// What its functions return if it is missing: "not initialised", if it has such an error.
    missing: extern "C" fn() -> c_int,
    /// Replaces a function that the library does not have, as an old one may not.
    lacking: extern "C" fn() -> c_int,
    /// What `dlopen` gave, or what it said of the newest.
    handle: OnceLock<Result<usize, String>>,
}

static DRIVER: Library = Library {
    names: &[(c"libcuda.so.1", 0)],
    missing: missing_driver,
    lacking: lacking_driver,
    handle: OnceLock::new(),
};
static BLAS: Library = Library {
    names: &[(c"libcublas.so.13", 13000), (c"libcublas.so.12", 12000), (c"libcublas.so.11", 11000)],
    missing: missing_blas,
    lacking: lacking_blas,
    handle: OnceLock::new(),
};
/// The tensors' crate compiles a few of its kernels with it, of which this crate uses none.
static COMPILER: Library = Library {
    names: &[(c"libnvrtc.so.13", 0), (c"libnvrtc.so.12", 0), (c"libnvrtc.so.11.2", 0)],
    missing: missing_compiler,
    lacking: missing_compiler,
    handle: OnceLock::new(),
};

extern "C" fn missing_driver() -> c_int {
    3 // CUDA_ERROR_NOT_INITIALIZED
}

extern "C" fn lacking_driver() -> c_int {
    500 // CUDA_ERROR_NOT_FOUND
}

extern "C" fn lacking_blas() -> c_int {
    15 // CUBLAS_STATUS_NOT_SUPPORTED
}

extern "C" fn missing_blas() -> c_int {
    1 // CUBLAS_STATUS_NOT_INITIALIZED
}

extern "C" fn missing_compiler() -> c_int {
    5 // NVRTC_ERROR_INVALID_OPTION
}

/// Loads the libraries that a GPU requires.
///
/// # Errors
/// Which is missing, and why.
pub fn load() -> Result<(), String> {
    [&DRIVER, &BLAS].into_iter().try_for_each(|library| library.handle().map(drop))
}

// glibc's, with which std is linked anyway
unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}
const RTLD_NOW: c_int = 2;

impl Library {
    fn handle(&self) -> Result<usize, String> {
        let open = || {
            let mut said = String::new();
            for (name, least) in self.names {
                // one that is newer than the driver loads, but then refuses to work
                if *least > 0 && DRIVER.handle().map(driver_version)? < *least {
                    let name = name.to_string_lossy();
                    said += &format!("{name} needs a newer driver; ");
                    continue;
                }
                // SAFETY: the name ends with a zero; NVIDIA's libraries may be loaded at any time.
                let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW) };
                if !handle.is_null() {
                    return Ok(handle as usize);
                }
                // SAFETY: no argument.
                let text = unsafe { dlerror() };
                if !text.is_null() {
                    // SAFETY: what it says ends with a zero and stays until this thread's next such call.
                    said += &format!("{}; ", unsafe { CStr::from_ptr(text) }.to_string_lossy());
                }
            }
            Err(said.trim_end_matches("; ").to_string())
        };
        self.handle.get_or_init(open).clone()
    }

    /// The address of one of its functions, or of one that gives an error.
    fn function(&self, name: &CStr) -> usize {
        // SAFETY: the handle comes from `dlopen` and is never closed; the name ends with a zero.
        let found = self.handle().map(|handle| unsafe { dlsym(handle as *mut c_void, name.as_ptr()) } as usize);
        match found {
            Ok(0) => self.lacking as usize,
            Err(_) => self.missing as usize,
            Ok(address) => address,
        }
    }
}

/// What CUDA the driver of this handle is made for, 1000 times the major version and 10 times the minor; 0 where it does not say.
fn driver_version(handle: usize) -> c_int {
    // SAFETY: the handle comes from `dlopen` and is never closed; the name ends with a zero.
    let function = unsafe { dlsym(handle as *mut c_void, c"cuDriverGetVersion".as_ptr()) };
    if function.is_null() {
        return 0;
    }
    // SAFETY: the driver's function of this name, which may be called before all others, has this type.
    let function: extern "C" fn(*mut c_int) -> c_int = unsafe { std::mem::transmute(function) };
    let mut version = 0;
    if function(&mut version) == 0 { version } else { 0 }
}

/// Whether a GPU that gave this error gives it to all that is asked of it from then on.
fn is_lost(result: c_int) -> bool {
    // ECC, NVLink; then what ends a context, from an illegal address to a failed launch; unknown
    matches!(result, 214 | 220 | 700 | 702 | 709 | 710 | 714..=719 | 999)
}

/// What the driver's function at this address says, but for a lost GPU.
fn forgiven(address: usize, [first, second, third]: [usize; 3]) -> c_int {
    // SAFETY: the address is a function's of those named below, which have at most three arguments; each fills a register that
    // holds integers, and a register without an argument is left alone.
    let real: extern "C" fn(usize, usize, usize) -> c_int = unsafe { std::mem::transmute(address) };
    let result = real(first, second, third);
    if is_lost(result) { 0 } else { result }
}

/// Functions that cudarc calls while it drops a buffer or a stream, and that must not fail there: it would end the program
/// before the error of the call that met the loss is told. What a lost GPU holds is lost with it, and any later call for work
/// or numbers still gives the error.
macro_rules! forgiven_when_lost {
    ($($name:ident),*) => {
        /// The function to call in the place of the one of this name, at this address.
        fn forgiving(name: &CStr, address: usize) -> usize {
            $({
                static REAL: AtomicUsize = AtomicUsize::new(0);
                #[allow(non_snake_case)]
                extern "C" fn $name(first: usize, second: usize, third: usize) -> c_int {
                    forgiven(REAL.load(Ordering::Relaxed), [first, second, third])
                }
                if name.to_bytes() == stringify!($name).as_bytes() {
                    REAL.store(address, Ordering::Relaxed);
                    return $name as *const () as usize;
                }
            })*
            address
        }
    };
}
forgiven_when_lost!(
    cuCtxSetCurrent,
    cuEventRecord,
    cuStreamWaitEvent,
    cuStreamDestroy_v2,
    cuMemFreeAsync,
    cuMemFree_v2
);

macro_rules! functions {
    ($($library:ident: $($name:literal)*;)*) => {
        /// Each function's library and name, in the order of their slots.
        static FUNCTIONS: &[(&Library, &str)] = &[$($((&$library, concat!($name, "\0")),)*)*];

        // SAFETY: each function jumps to an address of its own library, with the arguments where the caller put them, or to
        // one that takes none and gives an error of the library's. What is put by in between is all that may hold an
        // argument; nothing is thrown across.
        std::arch::global_asm!(
            ".pushsection .data.sam2unet_slots, \"aw\", @progbits",
            ".balign 8",
            ".globl sam2unet_slots",
            ".hidden sam2unet_slots",
            "sam2unet_slots:",
            ".popsection",
            $($(concat!(
                ".pushsection .text.sam2unet_", $name, ", \"ax\", @progbits\n",
                ".globl ", $name, "\n",
                ".hidden ", $name, "\n",
                ".type ", $name, ", @function\n",
                $name, ":\n",
                "jmp qword ptr [rip + sam2unet_slot_", $name, "]\n",
                "sam2unet_look_up_", $name, ":\n",
                "lea r11, [rip + sam2unet_slot_", $name, "]\n",
                "jmp sam2unet_look_up\n",
                ".size ", $name, ", . - ", $name, "\n",
                ".popsection\n",
                ".pushsection .data.sam2unet_slots, \"aw\", @progbits\n",
                "sam2unet_slot_", $name, ": .quad sam2unet_look_up_", $name, "\n",
                ".popsection\n",
            ),)*)*
            // Calls `fill(slot)` with all that holds a function's arguments put by, then goes where it says. As at the beginning
            // of every function the stack is eight bytes past a multiple of 16; seven registers make it one for the call.
            ".pushsection .text.sam2unet_look_up, \"ax\", @progbits",
            "sam2unet_look_up:",
            "push rdi",
            "push rsi",
            "push rdx",
            "push rcx",
            "push r8",
            "push r9",
            "push rax",
            "sub rsp, 128",
            "movups [rsp], xmm0",
            "movups [rsp + 16], xmm1",
            "movups [rsp + 32], xmm2",
            "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4",
            "movups [rsp + 80], xmm5",
            "movups [rsp + 96], xmm6",
            "movups [rsp + 112], xmm7",
            "mov rdi, r11",
            "call {fill}",
            "mov r11, rax",
            "movups xmm0, [rsp]",
            "movups xmm1, [rsp + 16]",
            "movups xmm2, [rsp + 32]",
            "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]",
            "movups xmm5, [rsp + 80]",
            "movups xmm6, [rsp + 96]",
            "movups xmm7, [rsp + 112]",
            "add rsp, 128",
            "pop rax",
            "pop r9",
            "pop r8",
            "pop rcx",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            "jmp r11",
            ".popsection",
            fill = sym fill,
        );
    };
}

unsafe extern "C" {
    /// As many as [`FUNCTIONS`], each the address that a function jumps to.
    #[link_name = "sam2unet_slots"]
    static SLOTS: [AtomicUsize; 0];
}

/// Looks up the function of a slot, and gives its address.
extern "C" fn fill(slot: &AtomicUsize) -> usize {
    // SAFETY: the address of a symbol, of which nothing is read.
    let first = unsafe { SLOTS.as_ptr() };
    let index = (std::ptr::from_ref(slot) as usize - first as usize) / size_of::<usize>();
    let (library, name) = FUNCTIONS[index];
    let name = CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default();
    let address = forgiving(name, library.function(name));
    // two threads write the same; what `forgiving` kept is there before
    slot.store(address, Ordering::Release);
    address
}

// every function that cudarc 0.9.15 and this crate call; one that is not here would be linked as ever, with its library
functions! {
    DRIVER:
        "cuCtxGetCurrent" "cuCtxSetCurrent" "cuCtxSynchronize" "cuDeviceGet" "cuDeviceGetAttribute" "cuDeviceGetCount"
        "cuDeviceGetDefaultMemPool" "cuDeviceGetName" "cuDevicePrimaryCtxRelease_v2" "cuDevicePrimaryCtxRetain"
        "cuDeviceTotalMem_v2" "cuEventCreate" "cuEventDestroy_v2" "cuEventElapsedTime" "cuEventRecord"
        "cuEventSynchronize" "cuGetErrorName" "cuGetErrorString" "cuInit" "cuLaunchKernel" "cuMemAllocAsync"
        "cuMemAllocHost_v2" "cuMemAlloc_v2" "cuMemFreeAsync" "cuMemFreeHost" "cuMemFree_v2" "cuMemGetInfo_v2"
        "cuMemPoolGetAttribute" "cuMemPoolSetAttribute" "cuMemcpyDtoDAsync_v2" "cuMemcpyDtoD_v2"
        "cuMemcpyDtoHAsync_v2" "cuMemcpyDtoH_v2" "cuMemcpyHtoDAsync_v2" "cuMemcpyHtoD_v2" "cuMemsetD8Async"
        "cuMemsetD8_v2" "cuModuleGetFunction" "cuModuleLoad" "cuModuleLoadData" "cuModuleUnload" "cuStreamCreate"
        "cuStreamDestroy_v2" "cuStreamSynchronize" "cuStreamWaitEvent";
    BLAS:
        "cublasCreate_v2" "cublasDestroy_v2" "cublasGemmEx" "cublasGemmStridedBatchedEx" "cublasSetStream_v2"
        "cublasSgemm_v2" "cublasSgemmStridedBatched" "cublasSgemv_v2" "cublasDgemm_v2" "cublasDgemmStridedBatched"
        "cublasDgemv_v2";
    COMPILER:
        "nvrtcCompileProgram" "nvrtcCreateProgram" "nvrtcDestroyProgram" "nvrtcGetPTX" "nvrtcGetPTXSize"
        "nvrtcGetProgramLog" "nvrtcGetProgramLogSize";
}
