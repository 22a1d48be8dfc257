//! The command line as a user has it.

mod check_data;
mod convert;
mod data_sets;
mod demonstration;
mod dependencies;
mod evaluate;
mod evaluate_classes;
mod evaluate_refusals;
mod help;
mod info;
mod interrupt;
mod kill;
mod kvasir;
mod layouts;
mod limits;
mod long_check;
mod output;
mod predict;
mod predict_classes;
pub mod program;
mod reading;
mod refusals;
mod resume;
mod run_folder;
mod settings;
mod shards;
mod story;
