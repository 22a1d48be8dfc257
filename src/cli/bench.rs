//! `sam2unet bench`.

use super::console::{print, warn};
use super::failure::{Failure, Status};
use super::flags::{Threads, choice};
use super::measure::{Case, What, measure, profile};
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::nn::variant::VariantName;
use clap::{Args, value_parser};

const EXAMPLES: &str = "\
Examples:
  sam2unet bench infer large 1
  sam2unet bench train tiny 4 bf16 --memory fast --device cuda
  sam2unet bench infer tiny 1 --size 224 --threads 1 --profile";

/// Times inference or a training step with random weights; prints one JSON object
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// What to time
    #[arg(value_parser = choice::<What>())]
    what: What,
    /// Variant of the network
    #[arg(value_parser = choice::<VariantName>())]
    variant: VariantName,
    /// Images in a batch
    #[arg(value_parser = value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Precision of the products
    #[arg(default_value_t, value_parser = choice::<Precision>())]
    precision: Precision,
    /// Side of the images
    #[arg(long, value_name = "N", default_value_t = 352)]
    size: usize,
    /// Calls that are counted, after two that are not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    repeat: u32,
    #[command(flatten)]
    threads: Threads,
    /// Where to compute; auto is a GPU if this build and this machine have one
    #[arg(long, value_name = "NAME", default_value_t, value_parser = choice::<DeviceChoice>())]
    device: DeviceChoice,
    /// What training keeps of a block for the backward pass
    #[arg(long, value_name = "NAME", default_value_t, value_parser = choice::<MemoryUse>())]
    memory: MemoryUse,
    /// Print where the time goes instead, as a table: on an otherwise idle machine
    #[arg(long)]
    profile: bool,
}

impl Bench {
    /// Measures.
    pub fn run(self) -> Result<Status, Failure> {
        let pool = self.threads.start()?;
        let case = Case {
            what: self.what,
            variant: self.variant,
            batch: self.batch as usize,
            precision: self.precision,
            device: String::new(),
            size: self.size,
            repeat: self.repeat as usize,
            threads: pool.current_num_threads(),
        };
        let text = pool.install(|| {
            let device = self.device.open()?;
            if let Some(remark) = device.remark(case.precision) {
                warn(format_args!("bench: {remark}"));
            }
            match self.profile {
                true => Ok(profile(&case, &device, self.memory)?.to_string()),
                false => serde_json::to_string(&measure(case, &device, self.memory)?).map_err(Failure::later),
            }
        })?;
        print(text + "\n")
    }
}
