//! `sam2unet convert`.

use super::console::say;
use super::failure::{Failure, Status};
use super::flags::choice;
use crate::checkpoint::convert::{Target, convert_selected};
use crate::checkpoint::found::{FoundAs, find_model};
use crate::checkpoint::selection::Selection;
use crate::nn::network::catalogue;
use crate::nn::weights::initialiser::Initialiser;
use crate::nn::weights::source::WeightSource;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sam2unet convert SAM2-UNet-90.pth model.safetensors
  sam2unet convert runs/polyp model.safetensors
  sam2unet convert runs/polyp SAM2-UNet.pth
      for PyTorch: torch.load(FILE, weights_only=True)
  sam2unet convert last.ckpt ema.safetensors --section ema_state_dict --prefix net.
  sam2unet convert sam2_hiera_large.pt trunk.safetensors --to trunk
  sam2unet convert sam2_hiera_large.pt start.safetensors --to sam2-unet --seed 1";

/// Converts a weight file of SAM2 or SAM2-UNet to safetensors, or to PyTorch's .pth
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Convert {
    /// The weight file to read: .pt, .pth or .safetensors, as Meta, transformers and timm name the weights; the index of a
    /// model in several files (.index.json); or the folder of a run: its best model
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write: .pth, .pt, .bin or .ckpt for PyTorch, any other name for safetensors
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What to write: a whole model, or SAM2's image encoder [default: what IN is, if a whole model]
    #[arg(long, value_name = "NAME", value_parser = choice::<Target>())]
    to: Option<Target>,
    /// Which of the models in a file of PyTorch to take: what leads to its weights, as `info` tells it [default: the likeliest]
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true)]
    section: Option<String>,
    /// Take the tensors whose names begin so, without that beginning [default: what stands before all names is found]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prefix: Option<String>,
    /// Leave out tensors that the model does not ask for, and name them
    #[arg(long)]
    known_only: bool,
    /// Seed for what a trunk lacks of a whole model
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Convert {
    /// Converts.
    pub fn run(self) -> Result<Status, Failure> {
        let mut initial = self.seed.map(Initialiser::new);
        let rest = initial.as_mut().map(|source| source as &mut dyn WeightSource);
        let found = find_model(&self.input)?;
        let selection = Selection { section: self.section, prefix: self.prefix, known_only: self.known_only };
        let converted = convert_selected(&found.path, &selection, &self.output, self.to, &catalogue(), rest)?;
        if found.kind != FoundAs::Given {
            say(&found);
        }
        say(converted);
        Ok(Status::Done)
    }
}
