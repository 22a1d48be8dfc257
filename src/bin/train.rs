//! `sam2unet train` under a name of its own: see `train --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sam2unet::cli::train()
}
