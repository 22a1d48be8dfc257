//! The network, as the paper draws it, in types.
//!
//! [`Sam2UNet`] is an encoder ([`Hiera`], frozen, with trainable [`Adapter`]s), four receptive-field
//! blocks ([`Rfb`]), a decoder ([`Up`]) and three outputs ([`Head`]). Channels and resolutions are types:
//! a wrong channel count, a wrong skip connection or an input side that is no multiple of 32 does not
//! compile. A weight's role is its type too ([`Param`], [`Statistic`], [`Frozen`]).

#[macro_use]
mod declare;
pub mod backend;
mod conv_bn;
mod cost;
mod decoder;
mod frozen;
mod hiera;
mod init;
mod network;
pub mod ops;
mod repeat;
mod rfb;
mod sam2unet;
mod shape;
mod variant;
pub mod weights;

pub use backend::{Backend, Buffer, Inference, Memory, Precision, Training};
pub use conv_bn::{BatchNorm, ConvBn};
pub use cost::{Gflop, Parameters, gflop, parameters, training_bytes};
pub use declare::{BuildError, Builder, Path, Weights};
pub use decoder::{DoubleConv, Head, Up};
pub use dfdx::shapes::Const;
pub use frozen::{Counter, Frozen, Param, Statistic, Unused};
pub use hiera::{Adapter, Block, Features, FrozenLinear, FrozenNorm, Hiera, PatchEmbed, PoolBlock, Stage, Trunk};
pub use init::Initialiser;
pub use network::{Network, NetworkError, check_side, open_network};
pub use ops::structure_loss::LossFlavour;
#[cfg(feature = "cuda")]
pub use ops::{CudaOpenError, open_cuda};
pub use repeat::Repeat;
pub use rfb::{Branch, Rfb};
pub use sam2unet::{Outputs, Sam2UNet};
pub use shape::{Even, Image, Map, Masks, Plus, SIDES, Side, Times};
pub use variant::{
    BasePlus, Large, Small, Tiny, VARIANTS, Variant, WithVariant, catalogue, check_variant, with_variant,
};

/// Hidden width of an adapter.
pub type Hidden = Const<32>;
/// Channels after a receptive-field block, and all through the decoder.
pub type Mid = Const<64>;
