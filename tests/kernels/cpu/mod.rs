//! Kernels of the CPU.

mod rectangular;
