//! `sam2unet bench`.

use super::console::{print, warn};
use super::exchange::exchange;
use super::failure::{Failure, Status};
use super::flags::{Threads, choice};
use super::measure::{Case, What, measure, profile};
use super::ranks::Waiting;
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::nn::variant::VariantName;
use clap::{Args, value_parser};

const EXAMPLES: &str = "\
Examples:
  sam2unet bench infer large 1
  sam2unet bench train tiny 4 bf16 --memory fast --device cuda
  sam2unet bench infer tiny 1 --size 224 --threads 1 --profile
  mpirun -n 2 sam2unet bench --exchange --step-seconds 2.5";

/// Times inference, a training step, or what several processes send each other
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// What to time
    #[arg(value_parser = choice::<What>(), required_unless_present = "exchange")]
    what: Option<What>,
    /// Variant of the network
    #[arg(value_parser = choice::<VariantName>(), required_unless_present = "exchange")]
    variant: Option<VariantName>,
    /// Images in a batch
    #[arg(value_parser = value_parser!(u32).range(1..=4096), required_unless_present = "exchange")]
    batch: Option<u32>,
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
    /// Time instead what several processes send each other in a training step, for the gradient of each variant; under mpirun or
    /// srun, in a build with the feature `mpi`
    #[arg(long, conflicts_with_all = ["what", "profile"])]
    exchange: bool,
    /// With --exchange: how long a training step takes, to tell which share of it that is
    #[arg(long, value_name = "S", conflicts_with = "what", value_parser = seconds)]
    step_seconds: Option<f64>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Reads a time.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    match seconds > 0.0 && seconds.is_finite() {
        true => Ok(seconds),
        false => Err("not a time above 0".to_string()),
    }
}

impl Bench {
    /// Measures.
    pub fn run(self) -> Result<Status, Failure> {
        let (Some(what), Some(variant), Some(batch)) = (self.what, self.variant, self.batch) else {
            return self.waiting.run("bench", |group| exchange(group, self.repeat as usize, self.step_seconds));
        };
        let pool = self.threads.start()?;
        let case = Case {
            what,
            variant,
            batch: batch as usize,
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
