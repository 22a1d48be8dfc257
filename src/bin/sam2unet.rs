//! Trains, predicts and measures: see `sam2unet --help`.

use std::process::ExitCode;

sam2unet::load_cuda_libraries_late!();

fn main() -> ExitCode {
    sam2unet::cli::sam2unet()
}
