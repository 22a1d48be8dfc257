//! The operations' kernels on the CPU, on slices of numbers, parallel on rayon's current pool.
//!
//! No result depends on the number of threads: sums over pixels are cut into parts by size alone.

mod adamw;
mod add_relu;
mod attention;
mod batch_norm;
mod bilinear;
mod block;
pub(crate) mod buffer;
mod concat;
mod conv;
pub(crate) mod device;
mod exclusive_loss;
pub(crate) mod gemm;
mod patch_embed;
mod positional_embedding;
mod readback;
mod resize;
mod spin;
mod structure_loss;
mod up2_concat;
mod vector;

pub use device::Cpu;
pub use gemm::peak::peak;
