//! The command line as a user has it.

mod convert;
mod dependencies;
mod evaluate;
mod help;
mod info;
mod interrupt;
mod predict;
mod program;
