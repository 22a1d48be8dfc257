//! Weight files: read, recognise, report, write and convert.
//!
//! In the order that data flows:
//!
//! 1. [`find_model`] says which file is meant where a run's folder is given. [`WeightFile::open`] maps a `.safetensors`
//!    file, one of `torch.save` (`torch/`, with its `pickle/`), or the several files that an index names (`shards`, `parts`),
//!    and lists its tensors; a [`Selection`] says which, where it must be said. `names` takes away what wrappers put before
//!    all names. Weight files are untrusted input: no code of a pickle is run, every size is checked before memory is asked
//!    for, and whatever is wrong becomes one [`CheckpointError`].
//! 2. [`Layout`] is how a file spells the names of SAM2's image encoder (Meta, transformers, timm, SAM2-UNet).
//! 3. [`load`] compares a file with the weights that a model asks for and gives a [`Loaded`], which hands out values
//!    under their published names, and a [`Report`]; [`detect`] finds the variant.
//! 4. [`Writer`] and [`save`] write `.safetensors` atomically; [`convert`] brings any file into our two forms, and into
//!    an archive for PyTorch if the name says so (`output`).
//!
//! Nothing here knows a network: what a model stores is told by [`crate::nn::weights`], names and shapes only.

pub(crate) mod bytes;
pub(crate) mod classes;
pub(crate) mod convert;
pub(crate) mod describe;
pub(crate) mod detect;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod format;
pub(crate) mod found;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod numbers;
pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod pickle;
pub(crate) mod python;
pub(crate) mod report;
pub(crate) mod safetensors;
pub(crate) mod selection;
pub(crate) mod shards;
pub(crate) mod shown;
pub(crate) mod tensor;
pub(crate) mod torch;
pub(crate) mod version;

pub use classes::FileClasses;
pub use convert::{Converted, Target, convert, convert_selected};
pub use describe::{FileFacts, ParameterFacts, PartFacts, VariantFacts, describe_file, describe_variant};
pub use detect::detect;
pub use error::CheckpointError;
pub use file::WeightFile;
pub use format::Format;
pub use found::{FoundAs, FoundModel, find_model};
pub use layout::{Layout, Part};
pub use load::{Completed, Loaded, Scope, classes_of, load};
pub use report::{Key, Report, WrongDtype, WrongShape};
pub use safetensors::write::{Writer, save};
pub use selection::Selection;
pub use tensor::{Dtype, TensorInfo};
pub use version::{FORMAT_KEY, MODEL_FORMAT};
