//! Tells what a weight file holds, or how large a variant is: see `info --help`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sam2unet::checkpoint::{self, CheckpointError, WeightFile};
use sam2unet::nn::catalogue;

sam2unet::load_cuda_libraries_late!();

/// Tells what a weight file holds (format, layout, variant, parameters), or how large a variant is.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// tiny, small, base-plus or large; or a weight file
    #[arg(value_name = "VARIANT|FILE")]
    what: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            // whoever closed the pipe has read enough
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("info: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
        Err(error) => {
            eprintln!("info: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(Arguments { what }: &Arguments) -> Result<String, CheckpointError> {
    let catalogue = catalogue();
    if let Some((variant, specs)) = catalogue.iter().find(|(variant, _)| what.as_os_str() == *variant) {
        return Ok(checkpoint::describe_variant(variant, specs));
    }
    if !what.exists() {
        let variants: Vec<_> = catalogue.iter().map(|(variant, _)| *variant).collect();
        let text = format!("`{}` is neither a file nor a variant ({})", what.display(), variants.join(", "));
        return Err(CheckpointError::Request(text));
    }
    checkpoint::describe_file(&WeightFile::open(what)?, &catalogue)
}
