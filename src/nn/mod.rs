//! The network of the paper, with its shapes as types.
//!
//! [`Sam2UNet`] is an encoder ([`Hiera`], frozen, with trainable [`Adapter`]s), four receptive-field
//! blocks ([`Rfb`]), a decoder ([`Up`]) and three outputs ([`Head`]); a [`Predictor`] is a model that only predicts. Channels,
//! resolutions and classes are types: a wrong channel count, a wrong skip connection or an input side that is no multiple of 32
//! does not compile. A weight's role is its type too ([`Param`], [`Statistic`], [`Frozen`]).

pub mod backend;
pub(crate) mod cost;
pub(crate) mod decoder;
pub(crate) mod gradient_marks;
pub(crate) mod hiera;
pub(crate) mod layers;
pub(crate) mod losses;
pub(crate) mod network;
pub mod ops;
pub(crate) mod predictor;
pub(crate) mod rfb;
pub(crate) mod sam2unet;
pub(crate) mod shape;
pub(crate) mod targets;
pub(crate) mod variant;
pub mod weights;
pub(crate) mod whole_batch;

pub use crate::kernels::device::Device as KernelDevice;
pub use crate::kernels::exclusive_loss::IGNORED;
pub use crate::kernels::memory_use::MemoryUse;
pub use crate::kernels::precision::Precision;
pub use crate::kernels::whole_batch::WholeBatch;
pub use backend::bound::{Backend, BufferOf, FrozenOf, KernelError, SliceMutOf, StorageOf};
#[cfg(feature = "cuda")]
pub use backend::open_cuda::{CudaOpenError, open_cuda};
pub use backend::tape::{Inference, Training};
pub use cost::{Gflop, Parameters, gflop, inference_bytes, parameters, training_bytes};
pub use decoder::{DoubleConv, Head, Up};
pub use dfdx::shapes::Const;
pub use hiera::{Activations, Block, BlockTrunk, Features, Hiera, PatchEmbed, PoolBlock, Stage};
pub use layers::adapter::Adapter;
pub use layers::conv_norm::{BatchNorm, ConvNorm};
pub use layers::linear::{FrozenLinear, FrozenNorm};
pub use layers::repeat::Repeat;
pub use layers::widths::{Hidden, Mid};
pub use losses::table::Loss;
pub use network::{Network, NetworkError, catalogue, open_network, specs};
pub use ops::activation::Activation;
pub use predictor::{PredictError, Predictor};
pub use rfb::{Branch, Rfb};
pub use sam2unet::{Outputs, Sam2UNet};
pub use shape::{
    Classes, EvenSide, Image, Map, Masks, PixelMaps, Plus, SIDES, ShapeError, Side, Times, check_image, check_map,
    check_side,
};
pub use targets::{ClassWeights, IndexMaps, Known, TargetError, Targets, Truth};
pub use variant::{
    BasePlus, Large, Small, Tiny, VARIANTS, Variant, VariantName, WithVariant, check_variant, with_variant,
};
pub use weights::build::{BuildError, BuildOptions, Builder, Weights};
pub use weights::initialiser::Initialiser;
pub use weights::path::{Path, Segment};
pub use weights::roles::{Counter, Frozen, Param, PerClass, PerClassShape, Statistic, Unused};
pub use whole_batch::as_part_of;
