//! The operations' kernels on NVIDIA GPUs: device slices and their launches, all ordered on one stream.
//! No sum depends on the order in which threads finish.
//!
//! Bottom up: `error`, `ptx`; `buffer`, `view`; `upload`; `gpu` ([`Gpu`], which launches); `device`, `readback`, `gemm`; `rows`, `columns`,
//! `linear`; a file for each operation; `open`.

mod adamw;
mod add_relu;
mod attention;
mod batch_norm;
mod block;
pub(crate) mod buffer;
mod columns;
mod concat;
mod conv;
mod device;
pub(crate) mod error;
mod exclusive_loss;
mod gemm;
pub(crate) mod gpu;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod libraries;
mod linear;
mod loss;
#[cfg(test)]
mod oblong_tests;
pub(crate) mod open;
mod patch_embed;
mod ptx;
mod readback;
mod resample;
mod rows;
mod upload;
pub(crate) mod view;

pub use buffer::Buffer;
pub use error::GpuError;
pub use gpu::Gpu;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[doc(hidden)]
pub use libraries::resolve as libraries_resolve;
pub use open::NoGpu;
pub use view::SliceMut;
