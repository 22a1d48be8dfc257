//! One binary for all integration tests, ordered as the source is.

mod checkpoint;
mod cli;
mod compile_fail;
mod data;
mod house;
mod kernels;
mod metrics;
mod nn;
mod predict;
mod support;
mod train;

sam2unet::load_cuda_libraries_late!();
