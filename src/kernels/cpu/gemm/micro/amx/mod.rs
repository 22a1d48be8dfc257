//! The micro-kernel for Intel's Advanced Matrix Extensions (AMX), a unit that multiplies whole tiles of bf16 numbers.
//!
//! [`instructions`] holds the assembly and the state of the unit, [`tile`] the micro-kernel, [`chained`] whole products of rows
//! that lie in tiles already, with its [`finish`] of sums; [`detect`] decides whether this machine can run it.

pub mod chained;
pub mod detect;
#[cfg(all(test, target_os = "linux"))]
pub mod emulated;
pub mod finish;
pub mod instructions;
#[cfg(all(test, target_os = "linux"))]
mod tests;
pub mod tile;
