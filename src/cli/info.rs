//! `sam2unet info`.

use super::console::{print, warn};
use super::failure::{Failure, Status};
use crate::checkpoint::describe::{describe_file, describe_variant};
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::{FoundAs, find_model};
use crate::nn::network::{catalogue, specs};
use crate::nn::variant::{VARIANTS, VariantName};
use clap::Args;
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sam2unet info large
  sam2unet info model.safetensors
  sam2unet info runs/polyp
  sam2unet info sam2_hiera_large.pt --json";

/// Tells what a weight file holds, or how large a variant is
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Info {
    /// tiny, small, base-plus or large; or a weight file, or the folder of a run: its best model
    #[arg(value_name = "VARIANT|FILE|RUN")]
    what: PathBuf,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl Info {
    /// Prints what is known.
    pub fn run(self) -> Result<Status, Failure> {
        let what = &self.what;
        // a file wins over a variant's name in another case
        let any_case = !what.exists();
        let same = |name: &str| what == name || any_case && what.as_os_str().eq_ignore_ascii_case(name);
        if let Some(&variant) = VariantName::ALL.iter().find(|variant| same(variant.name())) {
            return self.show(&describe_variant(variant.name(), &specs(variant, 1)));
        }
        if !what.exists() {
            return Err(Failure::input(format_args!(
                "`{}` is neither a file nor a variant ({})",
                what.display(),
                VARIANTS.join(", ")
            )));
        }
        let found = find_model(what)?;
        if matches!(found.kind, FoundAs::Last | FoundAs::LastForBest { .. }) {
            // beside the result, which is for programs, too
            warn(&found);
        }
        self.show(&describe_file(&WeightFile::open(&found.path)?, &catalogue())?)
    }

    fn show(&self, facts: &(impl Display + Serialize)) -> Result<Status, Failure> {
        match self.json {
            true => print(serde_json::to_string_pretty(facts).map_err(Failure::later)? + "\n"),
            false => print(facts.to_string()),
        }
    }
}
