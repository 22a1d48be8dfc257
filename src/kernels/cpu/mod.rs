//! The operations' kernels on the CPU: slices and plain numbers, parallel by rayon's current pool.
//!
//! No result depends on the number of threads: sums over pixels are cut into parts by size alone.

mod adamw;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod awake;
mod batch_norm;
mod block;
mod conv;
pub mod device;
mod loss;
pub mod matmul;
mod operations;
mod patch_embed;
pub mod profile;
mod resample;
pub mod scratch;
mod tile;
mod vector;
mod windows;
mod winograd;

pub use device::Cpu;
pub use matmul::peak;
