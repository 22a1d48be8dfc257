//! `sam2unet train` under a name of its own: see `train --help`.

use std::process::ExitCode;

sam2unet::load_cuda_libraries_late!();

fn main() -> ExitCode {
    sam2unet::cli::train()
}
