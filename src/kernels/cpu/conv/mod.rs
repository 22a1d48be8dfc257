//! Convolutions over NHWC maps with "same" padding, any odd kernel and dilation, as matrix products.

mod bf16;
mod direct;
mod frame;
pub mod geometry;
pub mod winograd;
