//! `sam2unet completions`: the script with which a shell completes its flags and names.

use super::console::print;
use super::failure::{Failure, Status};
use super::flags::choice;
use crate::choice;
use clap::{Args, Command};

const EXAMPLES: &str = "\
Examples:
  source <(sam2unet completions bash)
      for this shell; in ~/.bashrc for every one
  sam2unet completions zsh >~/.zfunc/_sam2unet
      ~/.zfunc must be in $fpath before compinit runs
  sam2unet completions fish >~/.config/fish/completions/sam2unet.fish";

/// Prints the completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_parser = choice::<Shell>())]
    shell: Shell,
}

choice::choice! {
    /// A shell that completion scripts are made for.
    pub(crate) enum Shell: "shell" {
        /// bash.
        Bash = "bash",
        /// zsh.
        Zsh = "zsh",
        /// fish.
        Fish = "fish",
    }
}

impl Completions {
    /// Prints the script for the program `program`.
    pub fn run(self, mut program: Command) -> Result<Status, Failure> {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program, name, &mut script);
        print(&script)
    }
}
