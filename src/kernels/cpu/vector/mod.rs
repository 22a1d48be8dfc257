//! Elementary functions on slices, compiled for several instruction sets and chosen at run time.

pub mod bf16;
pub mod dispatch;
mod fold;
pub mod layer_norm;
pub mod math;
pub mod rows;
pub mod softmax;
pub mod transpose;
pub mod winograd;

#[cfg(test)]
pub mod tests;
