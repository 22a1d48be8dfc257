//! One binary for all integration tests, ordered as the source is.

mod checkpoint;
mod cli;
mod compile_fail;
#[cfg(feature = "cuda")]
mod cuda;
mod data;
mod house;
mod kernels;
mod metrics;
mod nn;
mod programs;
mod session;
mod support;
mod train;

sam2unet::load_cuda_libraries_late!();
use support::golden;
