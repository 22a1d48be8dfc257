//! Micro-kernels: the innermost loop of every matrix product, once for each instruction set.
//!
//! [`kernel`] says what a micro-kernel is. [`fma`] generates one from an instruction set's vector arithmetic; [`avx512`],
//! [`avx512_bf16`], [`avx2`] and [`portable`] are made so. [`amx`] is written by hand. [`isa`] finds out which of them this
//! machine can run. [`tiled`] says how the left operand of whole products may lie, where a micro-kernel has a form for that.

#[cfg(target_arch = "x86_64")]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "x86_64")]
pub mod avx512_bf16;
mod fma;
pub mod isa;
pub mod kernel;
mod portable;
mod prefetch;
pub mod tiled;
