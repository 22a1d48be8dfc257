//! Times a model: see `bench --help`.

use clap::{Parser, ValueEnum};
use sam2unet::bench::{BenchError, Case, What, measure, profile};
use sam2unet::nn::MemoryUse;
use sam2unet::nn::Precision;
use sam2unet::train::DeviceChoice;
use std::io::{self, Write};
use std::process::ExitCode;

sam2unet::load_cuda_libraries_late!();

/// Times inference or a training step with random weights and prints one JSON object, or a profile.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to time
    #[arg(value_enum)]
    what: Task,
    /// tiny, small, base-plus or large
    variant: String,
    /// Images in a batch
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Precision of the products: f32, bf16 or tf32
    #[arg(default_value = "f32")]
    precision: Precision,
    /// Side of the images
    #[arg(long, value_name = "N", default_value_t = 352)]
    size: usize,
    /// Calls that are counted, after two that are not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// auto, cpu or cuda
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: DeviceChoice,
    /// What training keeps of a block for the backward pass: small, balanced or fast
    #[arg(long, value_name = "NAME", default_value = "balanced")]
    memory: MemoryUse,
    /// Print where the time goes instead, as a table: on an otherwise idle machine
    #[arg(long)]
    profile: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Task {
    Infer,
    Train,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.map_or(0, usize::from);
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("bench: cannot start {threads} threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let case = Case {
        what: match arguments.what {
            Task::Infer => What::Infer,
            Task::Train => What::Train,
        },
        variant: arguments.variant,
        batch: arguments.batch as usize,
        precision: arguments.precision,
        device: String::new(),
        size: arguments.size,
        repeat: arguments.repeat as usize,
        threads: pool.current_num_threads(),
    };
    // on one of the pool's threads, so that none is woken for each call
    let text = pool.install(|| {
        let device = arguments.device.open().map_err(|e| format!("--device: {e}"))?;
        if let Some(remark) = device.remark(case.precision) {
            eprintln!("bench: {remark}");
        }
        match arguments.profile {
            true => profile(&case, &device, arguments.memory).map(|p| p.to_string()).map_err(explained),
            false => {
                let measured = measure(case, &device, arguments.memory).map_err(explained)?;
                serde_json::to_string(&measured).map_err(|e| e.to_string())
            }
        }
    });
    match text {
        Ok(text) => match writeln!(io::stdout(), "{text}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// The error, with what the flags can do about it.
fn explained(error: BenchError) -> String {
    match error {
        BenchError::Profile => format!("--profile: {error}; give --device cpu"),
        _ => error.to_string(),
    }
}
