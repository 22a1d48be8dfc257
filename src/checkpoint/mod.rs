//! Weight files: read, recognise, report, write and convert.
//!
//! In the order that data flows:
//!
//! 1. [`WeightFile::open`] maps a `.safetensors` file or a `.pt`/`.pth` archive of `torch.save` and lists its
//!    tensors. Weight files are untrusted input: no code of a pickle is run, every size is checked before memory is
//!    asked for, and whatever is wrong becomes one [`CheckpointError`].
//! 2. [`Layout`] is how a file spells the names of SAM2's image encoder (Meta, transformers, timm, SAM2-UNet).
//! 3. [`load`] compares a file with the weights that a model asks for and gives a [`Loaded`], which hands out values
//!    under their published names, and a [`Report`]; [`detect`] finds the variant.
//! 4. [`Writer`] and [`save`] write `.safetensors` atomically; [`convert`] brings any file into our two forms.
//!
//! Nothing here knows a network: what a model stores is told by [`crate::nn::weights`], names and shapes only.

mod convert;
mod describe;
mod error;
mod file;
mod layout;
mod load;
mod pickle;
mod safetensors;
mod save;
mod torch;

pub use convert::{Converted, Target, convert};
pub use describe::{describe_file, describe_variant};
pub use error::CheckpointError;
pub use file::{Dtype, Format, TensorInfo, WeightFile};
pub use layout::{Layout, Part};
pub use load::{Backbone, Key, Loaded, Report, Scope, WrongDtype, WrongShape, detect, load};
pub use save::{Writer, save};
