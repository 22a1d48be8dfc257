//! `sam2unet man`: the manual page.

use super::console::print;
use super::failure::{Failure, Status};
use clap::{Args, Command};
use clap_mangen::Man as Page;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  sam2unet man | man -l -
  sam2unet man >~/.local/share/man/man1/sam2unet.1";

/// Prints the manual page of the program and its subcommands
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {}

impl Man {
    /// Prints the page of the program `program`.
    pub fn run(self, mut program: Command) -> Result<Status, Failure> {
        program.build();
        let mut text = Vec::new();
        write(&program, &mut text).map_err(Failure::later)?;
        print(&text)
    }
}

/// One page for all: a section for each subcommand.
fn write(program: &Command, to: &mut Vec<u8>) -> io::Result<()> {
    let page = Page::new(program.clone());
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    page.render_options_section(to)?;
    to.extend(notes(&page)?);
    // `help` says in the terminal what this page says
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        writeln!(to, ".SH \"{}\"", name.to_uppercase())?;
        let page = Page::new(command.clone());
        let mut sections = Vec::new();
        page.render_description_section(&mut sections)?;
        page.render_synopsis_section(&mut sections)?;
        page.render_options_section(&mut sections)?;
        sections.extend(notes(&page)?);
        // sections of the subcommand's own page are subsections here
        to.extend(String::from_utf8_lossy(&sections).replace("\n.SH ", "\n.SS ").as_bytes());
    }
    page.render_version_section(to)
}

/// What `--help` says last, examples among it, line by line.
fn notes(page: &Page) -> io::Result<Vec<u8>> {
    let mut section = Vec::new();
    page.render_extra_section(&mut section)?;
    let text = String::from_utf8_lossy(&section).replace(".SH EXTRA\n", ".SH NOTES\n.nf\n");
    Ok(format!("{text}.fi\n").into_bytes())
}
