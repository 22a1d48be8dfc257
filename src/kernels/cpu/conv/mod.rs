//! Convolutions over NHWC maps with "same" padding, any odd kernel and dilation, as matrix products.

mod bf16;
mod direct;
mod folded;
mod frame;
pub mod geometry;
mod kernel;
pub mod winograd;
