//! The command line as a user has it.

mod check_data;
mod convert;
mod demonstration;
mod dependencies;
mod evaluate;
mod help;
mod info;
mod interrupt;
mod kill;
mod kvasir;
mod predict;
pub mod program;
mod refusals;
mod settings;
mod story;
