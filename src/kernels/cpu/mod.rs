//! The operations' kernels on the CPU: slices and plain numbers, parallel by rayon's current pool.
//!
//! No result depends on the number of threads: sums over pixels are cut into parts by size alone.

mod adamw;
mod attention;
mod awake;
mod batch_norm;
mod block;
mod conv;
pub(crate) mod device;
pub(crate) mod gemm;
mod loss;
mod operations;
mod patch_embed;
pub(crate) mod profile;
mod resample;
pub(crate) mod scratch;
mod vector;
mod windows;
mod winograd;

pub use device::Cpu;
