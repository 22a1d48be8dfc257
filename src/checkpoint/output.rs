//! The file that a conversion writes, of the kind that its name says.

use std::collections::BTreeMap;
use std::path::Path;

use crate::nn::weights::spec::{Value, WeightSpec};

use super::error::CheckpointError;
use super::safetensors::write::Writer;
use super::torch::write::TorchWriter;

/// The endings of files that PyTorch reads by `torch.load`.
const TORCH: [&str; 4] = ["pth", "pt", "bin", "ckpt"];

/// Whether a file of that name is one that PyTorch reads by `torch.load`.
pub(super) fn is_torch(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    TORCH.iter().any(|torch| ending.eq_ignore_ascii_case(torch))
}

/// A file that is being written.
pub(super) enum Output {
    Safetensors(Writer),
    Torch(Box<TorchWriter>),
}

impl Output {
    /// Begins the file `path` with the arrays of `specs`, which are then put in this order. A safetensors file says `told` too.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub(super) fn create(
        path: &Path,
        specs: &[WeightSpec],
        told: BTreeMap<String, String>,
    ) -> Result<Self, CheckpointError> {
        if is_torch(path) {
            return TorchWriter::create(path, specs).map(|writer| Output::Torch(Box::new(writer)));
        }
        // what is not in the metadata cannot differ between two files of the same weights
        let metadata = told.into_iter().chain([("format".to_owned(), "pt".to_owned())]).collect();
        Writer::create(path, specs, &metadata).map(Output::Safetensors)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// It is not the one announced, or the disk is full.
    pub(super) fn put_value(&mut self, name: &str, value: &Value) -> Result<(), CheckpointError> {
        match self {
            Output::Safetensors(writer) => writer.put_value(name, value),
            Output::Torch(writer) => writer.put_value(name, value),
        }
    }

    /// Gives the file its name, over an older one.
    ///
    /// # Errors
    /// An announced array was not put, or the disk is full.
    pub(super) fn finish(self) -> Result<(), CheckpointError> {
        match self {
            Output::Safetensors(writer) => writer.finish(),
            Output::Torch(writer) => writer.finish(),
        }
    }
}
