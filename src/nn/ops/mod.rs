//! The network's operations. Each is a typed shell, whose shapes the compiler checks, around a function with run-time shapes,
//! which calls a kernel (`crate::kernels`). They depend on no module of the network.
//!
//! In training they take and give tensors on dfdx's tape; in inference they are the methods of [`Activation`].

pub mod activation;
pub mod adapted_block;
pub mod add_relu;
pub mod batch_norm;
pub mod concat;
pub mod conv2d;
pub mod conv_norm;
pub mod exclusive_loss;
pub mod patch_embed;
pub mod resize;
pub mod structure_loss;
mod tape;
pub mod up2_concat;

pub use crate::kernels::adapted_block::AttentionConfig;
pub use crate::kernels::structure_loss::CrossEntropy;
pub use activation::Activation;
pub use adapted_block::{
    AdapterRef, BlockWeights, LinearRef, LinearWeights, NormWeights, adapted_block, pooling_block,
};
pub use add_relu::add_relu;
pub use batch_norm::batch_norm;
pub use concat::concat4;
pub use conv_norm::{BatchNormRef, ConvNormRef, ConvOptions, FoldedOf, NormRef, conv_norm};
pub use conv2d::conv2d;
pub use exclusive_loss::{exclusive_loss, exclusive_weights};
pub use patch_embed::{StemRef, patch_embed};
pub use resize::resize;
pub use structure_loss::{loss_weights, structure_loss};
pub use up2_concat::up2_concat;
