//! Errors of the driver and of cuBLAS, with messages that say what to try.

use cudarc::cublas::{result::CublasError, sys::cublasStatus_t};
use cudarc::driver::{DriverError, sys::CUresult};
use std::fmt::{self, Debug, Display, Formatter};

const OUT_OF_MEMORY: &str =
    "the GPU is out of memory: smaller batches, a smaller side, less that is kept, or bf16 need less";

/// An error of a GPU. Its `Display` says what to try.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GpuError {
    /// An error of the driver.
    Driver(DriverError),
    /// An error of cuBLAS, in a matrix product.
    Blas(CublasError),
}

impl GpuError {
    /// A size that the kernels or cuBLAS cannot work on.
    pub const UNSUPPORTED_SIZE: Self = Self::Driver(DriverError(CUresult::CUDA_ERROR_NOT_SUPPORTED));
    /// A batch of which this process holds only a part.
    pub const PART_OF_A_BATCH: Self = Self::Driver(DriverError(CUresult::CUDA_ERROR_NOT_PERMITTED));
}

impl From<DriverError> for GpuError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<CublasError> for GpuError {
    fn from(error: CublasError) -> Self {
        Self::Blas(error)
    }
}

impl Display for GpuError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lost = |name: &str| format!("the GPU is lost ({name}): look at nvidia-smi, then begin again");
        match self {
            Self::Driver(error) => match error.0 {
                CUresult::CUDA_ERROR_OUT_OF_MEMORY => f.write_str(OUT_OF_MEMORY),
                CUresult::CUDA_ERROR_NOT_SUPPORTED => f.write_str(
                    "the GPU's kernels do not know this size, such as a head of more than 320 numbers or a product of \
                     2^31 rows: the CPU, or a smaller batch, computes it",
                ),
                CUresult::CUDA_ERROR_NOT_PERMITTED => f.write_str(
                    "the GPU's kernels compute whole batches only: on GPUs no batch is split over several processes so \
                     far, the CPU does it",
                ),
                code if is_lost(code) => f.write_str(&lost(&name(*error))),
                _ => write!(f, "the GPU says {}", name(*error)),
            },
            Self::Blas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED)) => f.write_str(OUT_OF_MEMORY),
            Self::Blas(CublasError(cublasStatus_t::CUBLAS_STATUS_EXECUTION_FAILED)) => {
                f.write_str(&lost("CUBLAS_STATUS_EXECUTION_FAILED"))
            }
            Self::Blas(other) => write!(f, "{other:?}"),
        }
    }
}

/// As [`Display`]: cudarc's own `Debug` asks the driver for words, and panics where it has none.
impl Debug for GpuError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "GpuError({self})")
    }
}

impl std::error::Error for GpuError {}

/// Whether nothing can be computed on the card any more, by this process at least.
fn is_lost(code: CUresult) -> bool {
    use CUresult as C;
    matches!(
        code,
        C::CUDA_ERROR_DEVICE_UNAVAILABLE
            | C::CUDA_ERROR_ECC_UNCORRECTABLE
            | C::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | C::CUDA_ERROR_LAUNCH_TIMEOUT
            | C::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | C::CUDA_ERROR_ASSERT
            | C::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | C::CUDA_ERROR_MISALIGNED_ADDRESS
            | C::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | C::CUDA_ERROR_INVALID_PC
            | C::CUDA_ERROR_HARDWARE_STACK_ERROR
            | C::CUDA_ERROR_LAUNCH_FAILED
            | C::CUDA_ERROR_ILLEGAL_ADDRESS
            | C::CUDA_ERROR_UNKNOWN
    )
}

/// The driver's own name of an error.
pub fn name(error: DriverError) -> String {
    error.error_name().map_or("an unknown error".into(), |name| name.to_string_lossy().into_owned())
}
