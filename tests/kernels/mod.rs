//! Kernels of each device.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod cuda_stubs;
