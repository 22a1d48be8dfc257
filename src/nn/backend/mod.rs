//! dfdx's devices, as the network sees them.

pub mod backend;
pub mod cpu;
pub mod tape;
