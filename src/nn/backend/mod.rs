//! dfdx's devices as backends of the network: how kernels reach the memory of its tensors.

#[cfg(feature = "cuda")]
mod address;
pub mod bound;
pub mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_error;
#[cfg(feature = "cuda")]
pub mod open_cuda;
pub mod tape;
