//! The format <https://huggingface.co/docs/safetensors>: reading a header, writing whole files.

pub(super) mod read;
pub(crate) mod write;
