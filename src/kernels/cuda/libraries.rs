//! Loading NVIDIA's libraries while the program runs: [`load`] before a GPU is opened, in every program, and
//! [`resolve`] for one that expands [`load_cuda_libraries_late`](crate::load_cuda_libraries_late).
//!
//! A program that does not is linked with the libraries, as cudarc does it, and they are loaded when it starts.
//! [`load`] then finds what is there already.
//!
//! For Linux on x86-64; elsewhere the libraries are always linked.

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
    /// The library that has a function of this name.
    fn of(name: &CStr) -> &'static Self {
        match name.to_bytes() {
            [b'c', b'u', b'b', b'l', b'a', b's', ..] => &BLAS,
            [b'n', b'v', b'r', b't', b'c', ..] => &COMPILER,
            _ => &DRIVER,
        }
    }

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

/// What CUDA the driver of this handle is made for, 1000 times the major version and 10 times the minor; 0 where it
/// does not say.
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
    // SAFETY: the address is a function's of those named below, which have at most three arguments; each fills a
    // register that holds integers, and a register without an argument is left alone.
    let real: extern "C" fn(usize, usize, usize) -> c_int = unsafe { std::mem::transmute(address) };
    let result = real(first, second, third);
    if is_lost(result) { 0 } else { result }
}

/// Functions that cudarc calls while it drops a buffer or a stream, and that must not fail there: it would end the
/// program before the error of the call that met the loss is told. What a lost GPU holds is lost with it, and any later
/// call for work or numbers still gives the error.
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

/// What a function of [`load_cuda_libraries_late`](crate::load_cuda_libraries_late) calls when it is called first: the
/// address to jump to, which it also writes into the function's slot for the calls to come.
///
/// # Safety
/// `name` ends with a zero and stays.
#[doc(hidden)]
#[inline(never)]
pub unsafe extern "C" fn resolve(slot: &AtomicUsize, name: *const c_char) -> usize {
    // SAFETY: as the caller says.
    let name = unsafe { CStr::from_ptr(name) };
    let address = forgiving(name, Library::of(name).function(name));
    // two threads write the same; what `forgiving` kept is there before
    slot.store(address, Ordering::Release);
    address
}

// the unit tests are a program too
#[cfg(test)]
crate::load_cuda_libraries_late!();

#[cfg(test)]
mod tests {
    use super::{BLAS, COMPILER, DRIVER, Library};

    #[test]
    fn a_name_tells_its_library() {
        for (name, library) in
            [(c"cuInit", &DRIVER), (c"cuMemFree_v2", &DRIVER), (c"cublasCreate_v2", &BLAS), (c"nvrtcGetPTX", &COMPILER)]
        {
            assert!(std::ptr::eq(Library::of(name), library), "{name:?}");
        }
    }
}
