//! The operations' kernels on NVIDIA GPUs: device addresses and plain numbers, launched in the order of dfdx's own
//! work. No sum depends on the order in which threads finish.
//!
//! Bottom up: `error`, `ptx`; `buffer`, `view`; `upload`, `stream`; `gemm`; `rows`, `columns`, `linear`; a file for each
//! operation. `address`, `device` and `open` know dfdx's device and tensors.

mod adamw;
mod add_relu;
mod address;
mod attention;
mod batch_norm;
mod block;
mod buffer;
mod columns;
mod concat;
mod conv;
mod device;
mod error;
mod gemm;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod libraries;
mod linear;
mod loss;
#[cfg(test)]
mod oblong_tests;
mod open;
mod patch_embed;
mod ptx;
mod resample;
mod rows;
mod stream;
mod upload;
mod view;

pub use open::{CudaOpenError, open_cuda};
