//! One binary for all property tests.

mod checkpoint;
mod classes;
mod data;
mod metrics;
mod on_cpu;
#[cfg(feature = "cuda")]
mod on_cuda;
mod support;
mod train;

sam2unet::load_cuda_libraries_late!();
