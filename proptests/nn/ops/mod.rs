//! Every operation against its plain twin in double precision, over random shapes.

mod adapted_block;
mod add_relu;
mod batch_norm;
mod block_twin;
mod concat;
mod conv2d;
mod conv_norm;
mod exclusive_loss;
mod resize;
mod structure_loss;
pub mod twin;
mod up2_concat;
