//! Looking for a GPU, before any work.

use super::add_relu::ADD_RELU;
use super::error::{GpuError, name};
use super::gpu::Gpu;
use cudarc::driver::{DriverError, result, sys};

/// Why there is no GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// A library cannot be loaded: which, and what the system says.
    #[error("{0} (a GPU takes NVIDIA's driver, and cuBLAS of a CUDA toolkit)")]
    Library(String),
    /// The driver gives an error at its first call.
    #[error("no NVIDIA driver answers ({0})")]
    Driver(String),
    /// The driver counts fewer GPUs.
    #[error("there is no GPU {ordinal}: the NVIDIA driver knows {count}")]
    Device {
        /// The GPU asked for, from 0 on.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
}

/// Loads NVIDIA's libraries and asks the driver whether there is this GPU, the first being 0.
///
/// # Errors
/// When a library is missing, the driver fails, or there is no such GPU.
pub fn find(ordinal: usize) -> Result<(), NoGpu> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    super::libraries::load().map_err(NoGpu::Library)?;
    let count = match result::init().and_then(|()| result::device::get_count()) {
        Ok(count) => usize::try_from(count).unwrap_or(0),
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
        Err(error) => return Err(NoGpu::Driver(name(error))),
    };
    if ordinal < count { Ok(()) } else { Err(NoGpu::Device { ordinal, count }) }
}

/// Loads the shortest file of kernels, to check that card and driver accept this program's kernels.
///
/// # Errors
/// When the driver refuses the file.
pub fn try_kernels(gpu: &Gpu) -> Result<(), GpuError> {
    gpu.load(ADD_RELU)
}

/// The GPU for a test of kernels; `None`, and a message, where there is none.
#[cfg(test)]
pub fn tested_gpu() -> Option<Gpu> {
    use std::io::Write;
    match find(0) {
        Ok(()) => Some(Gpu::on(cudarc::driver::CudaDevice::new(0).unwrap()).unwrap()),
        Err(reason) => {
            // not `eprintln`, which the test harness keeps to itself while tests pass
            let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
            None
        }
    }
}
