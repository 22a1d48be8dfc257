//! Times a model: see `bench --help`.

use clap::{Parser, ValueEnum};
use sam2unet::bench::{Case, What, measure};
use sam2unet::nn::ops::Keep;
use std::process::ExitCode;

/// Times inference or a training step with random weights and prints one JSON object.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to time
    #[arg(value_enum)]
    what: Task,
    /// tiny, small, base-plus or large
    variant: String,
    /// Images in a batch
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Precision of the arithmetic
    #[arg(value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Side of the images
    #[arg(long, value_name = "N", default_value_t = 352)]
    size: usize,
    /// Calls that are counted, after two that are not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// What training keeps of a block for the backward pass: its input, or also its attention
    #[arg(long, value_enum, default_value_t = Kept::Attention)]
    keep: Kept,
}

#[derive(Clone, Copy, ValueEnum)]
enum Task {
    Infer,
    Train,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kept {
    Input,
    Attention,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only if a pool exists already, which nothing has made.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global();
    let Precision::F32 = arguments.precision;
    let case = Case {
        what: match arguments.what {
            Task::Infer => What::Infer,
            Task::Train => What::Train,
        },
        variant: arguments.variant,
        batch: arguments.batch as usize,
        precision: "f32".into(),
        device: "cpu".into(),
        size: arguments.size,
        repeat: arguments.repeat as usize,
        threads: rayon::current_num_threads(),
    };
    let keep = match arguments.keep {
        Kept::Input => Keep::Input,
        Kept::Attention => Keep::Attention,
    };
    let text = measure(case, keep).map_err(|e| e.to_string());
    match text.and_then(|m| serde_json::to_string(&m).map_err(|e| e.to_string())) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
