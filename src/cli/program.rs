//! The program: its subcommands and its exit status.

use super::bench::Bench;
use super::completions::Completions;
use super::console::warn;
use super::convert::Convert;
use super::evaluate::Evaluate;
use super::failure::{Failure, Status};
use super::info::Info;
use super::interrupt::Interrupt;
use super::man::Man;
use super::predict::Predict;
use super::train::Train;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::iter::once;
use std::process::ExitCode;

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  sam2unet train
      on generated scenes: a demonstration of a few minutes
  sam2unet train --images IMAGES --masks MASKS --backbone sam2_hiera_large.pt --out run
  sam2unet predict --checkpoint run --images PHOTOS --out PREDICTED

`sam2unet COMMAND --help` tells more, with examples.
Exit status: 0 done; 2 the input was wrong; 1 something failed later; ended by a signal: 129 SIGHUP (the terminal is
gone; ignored under nohup), 130 SIGINT (Ctrl-C), 138 SIGUSR1 (what SLURM sends ahead of a job's end), 143 SIGTERM.";

/// What is said when a signal ends a subcommand that is not `train`.
const STOPPED: &str = "stopped; files that were finished are whole, the others were removed";

/// SAM2-UNet (arXiv 2408.08870): trains, predicts and measures image segmentation
#[derive(Parser)]
#[command(
    name = "sam2unet",
    bin_name = "sam2unet",
    subcommand_value_name = "COMMAND",
    version,
    propagate_version = true
)]
#[command(after_help = EXAMPLES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<Train>),
    Predict(Predict),
    Evaluate(Evaluate),
    Convert(Convert),
    Info(Info),
    Bench(Bench),
    Completions(Completions),
    Man(Man),
}

/// The program `sam2unet`, with the arguments of this process.
pub fn sam2unet() -> ExitCode {
    run(std::env::args_os().skip(1))
}

/// The program `train`: `sam2unet train` with the arguments of this process.
pub fn train() -> ExitCode {
    run(once("train".into()).chain(std::env::args_os().skip(1)))
}

fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = match Program::try_parse_from(once("sam2unet".into()).chain(arguments)) {
        Ok(program) => program,
        // help is such an error too, whose status is 0
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Status::WrongInput as u8).into();
        }
    };
    let (name, ended) = match program.command {
        Command::Train(train) => ("train", train.run()),
        Command::Predict(predict) => ("predict", until_a_signal(|interrupt| predict.run(interrupt))),
        Command::Evaluate(evaluate) => ("evaluate", until_a_signal(|_| evaluate.run())),
        Command::Convert(convert) => ("convert", until_a_signal(|_| convert.run())),
        Command::Info(info) => ("info", info.run()),
        Command::Bench(bench) => ("bench", until_a_signal(|_| bench.run())),
        Command::Completions(completions) => ("completions", completions.run(Program::command())),
        Command::Man(man) => ("man", man.run(Program::command())),
    };
    let status = ended.unwrap_or_else(|failure| {
        warn(format_args!("{name}: {failure}"));
        failure.status
    });
    ExitCode::from(status as u8)
}

/// Runs what a signal may end at any moment, or, once `work` has begun what it can leave in good order, when that is
/// done.
fn until_a_signal(work: impl FnOnce(&Interrupt) -> Result<Status, Failure>) -> Result<Status, Failure> {
    work(&Interrupt::watch(STOPPED)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Program::command().debug_assert();
    }
}
