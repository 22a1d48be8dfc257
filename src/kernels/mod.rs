//! What a device computes, on plain numbers: no tensor, no tape, no module, no weight's name.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(feature = "cuda")]
pub mod extent;
