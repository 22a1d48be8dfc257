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
    /// Whether tensors that the model does not ask for are left out, and no error (`loss.pos_weight`).
    pub known_only: bool,
}

impl Selection {
    /// The command that takes what is meant out of a file.
    pub(super) fn command(&self, path: &Path) -> String {
        let mut words = vec!["sam2unet convert".to_owned()];
        let file = path.display().to_string();
        words.push(shell_word(&if file.starts_with('-') { format!("./{file}") } else { file }));
        let is_output = |name| path.file_name().is_some_and(|file| file == name);
        words.push(if is_output(OUTPUT) { "model.safetensors" } else { OUTPUT }.to_owned());
        for (flag, value) in [("--section", &self.section), ("--prefix", &self.prefix)] {
            if let Some(value) = value {
                words.push(format!("{flag} {}", shell_word(value)));
            }
        }
        if self.known_only {
            words.push("--known-only".into());
        }
        format!("`{}`", words.join(" "))
    }
}

/// What that command writes.
const OUTPUT: &str = "weights.safetensors";
