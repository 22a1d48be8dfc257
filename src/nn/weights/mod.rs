//! Weights: what there is, where it comes from, what it is for, and how a module of them is declared.
//!
//! Names are those of the published SAM2-UNet checkpoints (`encoder.blocks.7.block.attn.qkv.weight`).

pub mod build;
pub mod initialiser;
pub mod module;
pub mod path;
pub mod roles;
pub mod running;
pub mod source;
pub mod spec;

pub use crate::kernels::encoded::{Decode, Encoded};
pub use source::{SourceError, WeightSource};
pub use spec::{Role, SpecList, Value, WeightSpec};
