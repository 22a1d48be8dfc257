//! Matrix products on the CPU.
//!
//! The right operand of a product is packed once into panels ([`packed`]). The left operand is read in place.
//! The driver cuts a product into tiles that fit into registers and gives each to a micro-kernel, which exists once for each
//! instruction set ([`micro`]). The driver then applies the epilogue (bias, activation, residual) while a tile is in the
//! cache. No number depends on how rows are shared among threads.
//!
//! From the bottom up: [`operand`] (what a micro-kernel reads and writes), [`micro`], [`panels`] (memory), [`packed`],
//! [`driver`], [`tiled`] (products whose left operand is rounded where it is made, with AMX), then [`linear`] (linear
//! layers) and [`peak`] (the fastest this machine can be).

pub mod driver;
pub mod linear;
mod micro;
pub mod operand;
pub mod packed;
pub mod panels;
pub mod peak;
#[cfg(test)]
pub mod test_kernels;
#[cfg(test)]
pub mod test_numbers;
#[cfg(test)]
mod tests;
pub mod tiled;
