//! One binary for all property tests.

mod annotations;
mod checkpoint;
mod classes;
mod data;
mod layout;
mod metrics;
mod on_cpu;
#[cfg(feature = "cuda")]
mod on_cuda;
mod parts;
mod settings;
mod split_batch;
mod support;
mod train;

sam2unet::load_cuda_libraries_late!();
