//! Trains, predicts and measures: see `sam2unet --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sam2unet::cli::sam2unet()
}
