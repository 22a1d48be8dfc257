//! Converts a weight file: see `convert --help`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sam2unet::checkpoint::{self, CheckpointError, Target};
use sam2unet::nn::weights::WeightSource;
use sam2unet::nn::{Initialiser, catalogue};

sam2unet::load_cuda_libraries_late!();

/// Converts weights of SAM2 or SAM2-UNet (.pt, .pth, .safetensors; Meta, transformers, timm) to safetensors.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The weight file to read
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The safetensors file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What to write: `sam2-unet` (a whole model) or `trunk` (SAM2's image encoder) [default: what IN is, if a whole model]
    #[arg(long)]
    to: Option<Target>,
    /// Seed for what a trunk lacks of a whole model
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("convert: {error}{}", advice(&error));
            ExitCode::from(2)
        }
    }
}

/// What the flags can do about it.
fn advice(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::NoTarget { .. } => ": give `--to trunk`, or `--to sam2-unet --seed N`",
        CheckpointError::NoRest { .. } => ": give `--seed N` to draw them at random",
        _ => "",
    }
}

fn run(arguments: &Arguments) -> Result<(), CheckpointError> {
    let Arguments { input, output, to, seed } = arguments;
    let mut initial = seed.map(Initialiser::new);
    let rest = initial.as_mut().map(|source| source as &mut dyn WeightSource);
    let converted = checkpoint::convert(input, output, *to, &catalogue(), rest)?;
    // the file is written, whether or not anybody reads this
    let _ = writeln!(io::stdout(), "{converted}");
    Ok(())
}
