//! Which of a file's tensors are meant.

use std::path::Path;

use crate::shell::shell_word;

/// Which tensors of a weight file are meant, where it holds more than one model's or more than a model. Nothing said, the weights are
/// looked for, and all that lie there are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What leads to them in a file of PyTorch, in one text: `model`, `states[0].ema`, and nothing for the top; as
    /// [`WeightFile::shown_section`](super::WeightFile::shown_section) tells it, but whole and as it is in the file.
    pub section: Option<String>,
    /// What stands before their names: `net.`, or nothing.
    pub prefix: Option<String>,
    /// Whether what belongs to no SAM2 and no SAM2-UNet is left out (`loss.pos_weight`).
    pub known_only: bool,
}

/// A command that takes some of what the file `path` holds into one of its own.
pub(super) fn convert_command(path: &Path, flags: &str) -> String {
    let file = shell_word(&path.display().to_string());
    format!("`sam2unet convert {file} weights.safetensors {flags}`")
}
