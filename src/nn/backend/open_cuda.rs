//! Opening a GPU: everything that can be wrong with it is found here, before any work.

use super::address::{self, UnreadableAddress};
use super::cuda_error::explain;
use crate::kernels::cuda::gpu::{Gpu, capability};
use crate::kernels::cuda::open::{self, NoGpu};
use cudarc::driver::{DriverError, sys};
use dfdx::prelude::*;

/// Why a GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CudaOpenError {
    /// There is no such GPU.
    #[error(transparent)]
    NoGpu(#[from] NoGpu),
    /// The GPU runs none of this program's kernels.
    #[error("GPU {ordinal} has compute capability {}.{}, and this program's kernels need 7.5 or newer", .capability[0], .capability[1])]
    OldDevice {
        /// The GPU asked for, from 0 on.
        ordinal: usize,
        /// Major and minor.
        capability: [i32; 2],
    },
    /// The driver is older than the compiler that made this program's kernels.
    #[error("the NVIDIA driver is too old for this program: update it, or build with an older CUDA toolkit")]
    OldDriver,
    /// This build mixes versions of crates.
    #[error(transparent)]
    Address(#[from] UnreadableAddress),
    /// Anything else that the driver says.
    #[error("GPU {ordinal}: {}", explain(error))]
    Device {
        /// The GPU asked for.
        ordinal: usize,
        /// What it says.
        error: CudaError,
    },
}

/// dfdx's device for a GPU, the first being 0, once it is known to run this program's kernels and dfdx's, and that the
/// addresses of tensors are read correctly.
///
/// # Errors
/// When there is no such GPU, when it or its driver is too old, or when this build mixes versions of crates.
pub fn open_cuda(ordinal: usize) -> Result<Cuda, CudaOpenError> {
    open::find(ordinal)?;
    let device = |error| CudaOpenError::Device { ordinal, error };
    let cuda = Cuda::try_build(ordinal, 0).map_err(device)?;
    let gpu = address::device(&cuda).and_then(|own| Ok(Gpu::on(own)?)).map_err(device)?;
    let load_all = || {
        open::try_kernels(&gpu)?;
        address::documented_copy(&cuda, &mut cuda.try_zeros_like(&(1,))?)
    };
    load_all().map_err(|error| match error {
        CudaError::Driver(DriverError(sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)) => CudaOpenError::OldDriver,
        CudaError::Driver(DriverError(
            sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU | sys::CUresult::CUDA_ERROR_INVALID_PTX,
        )) => CudaOpenError::OldDevice { ordinal, capability: capability(gpu.device()) },
        error => device(error),
    })?;
    address::check_reading(&cuda, &gpu).map_err(device)??;
    Ok(cuda)
}

/// The GPU for a test of this crate; `None`, and a message, where there is none.
#[cfg(test)]
pub fn tested_gpu() -> Option<Cuda> {
    use std::io::Write;
    match open_cuda(0) {
        Ok(cuda) => Some(cuda),
        Err(CudaOpenError::NoGpu(reason)) => {
            // not `eprintln`, which the test harness keeps to itself while tests pass
            let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
            None
        }
        Err(reason) => panic!("{reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        let Some(_) = tested_gpu() else {
            return;
        };
        let reason = open_cuda(1000).unwrap_err().to_string();
        assert!(reason.starts_with("there is no GPU 1000: the NVIDIA driver knows "), "{reason}");
        // another process, from which the driver hides all
        let this = std::env::current_exe().unwrap();
        let mut test = std::process::Command::new(this);
        test.args(["a_gpu_that_is_not_there_is_named"]).env("CUDA_VISIBLE_DEVICES", "");
        let output = test.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && said.contains("SKIPPED: there is no GPU 0: the NVIDIA driver knows 0"),
            "{said}"
        );
    }
}
