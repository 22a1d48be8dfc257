//! The operations that a device computes, on buffers of numbers: no tensors, tapes, modules or names of weights.
//!
//! Each operation has a file with its sizes and the trait that a device implements; [`cpu`] and, with the feature `cuda`, `cuda`
//! hold the kernels. Maps are channels last, `(batch, height, width, channels)`, and row-major.

pub mod adamw;
pub mod adapted_block;
pub mod add_relu;
pub mod all;
pub mod batch_norm;
pub mod concat;
pub mod conv2d;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod cuda_stubs;
pub mod device;
pub mod encoded;
pub mod exclusive_loss;
pub mod extent;
pub mod memory_use;
pub mod patch_embed;
pub mod precision;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the programs read the counters"))]
pub(crate) mod profile;
pub mod readback;
pub mod resize;
pub mod structure_loss;
pub mod up2_concat;
pub mod whole_batch;
