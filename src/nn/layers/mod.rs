//! What the network is made of: layers with their weights.

pub mod adapter;
pub mod conv_norm;
pub mod linear;
pub mod repeat;
pub mod widths;
