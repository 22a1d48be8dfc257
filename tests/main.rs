//! One binary for all integration tests.

mod checkpoint;
mod cli;
mod compile_fail;
#[cfg(feature = "cuda")]
mod cuda;
mod data;
mod devices;
mod golden;
mod house;
mod kernels;
mod metrics;
mod network;
mod programs;
mod rectangular;
mod shapes;
mod train;

sam2unet::load_cuda_libraries_late!();
