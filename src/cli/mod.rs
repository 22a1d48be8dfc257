//! The programs `sam2unet` and `train`: arguments, progress, exit status. This is their code, not a stable interface;
//! it is there with the feature `cli`, which is on by default.
//!
//! [`sam2unet`] reads the command line and runs a subcommand. Each subcommand is a file with its flags and what it does
//! with them (`train --check-data` has one of its own). Beside them: how names and threads are read from flags (`flags`), flags in the place of keys (`flag_names`), what is printed (`console`), Ctrl-C
//! (`interrupt`), several processes of one launcher (`ranks`), which error is which exit status, with what a flag can do
//! about it (`failure`), and what `bench` measures (`measure`, `exchange`).

pub(crate) mod bench;
pub(crate) mod cache;
pub(crate) mod check_data;
pub(crate) mod completions;
pub(crate) mod console;
pub(crate) mod convert;
pub(crate) mod evaluate;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod flag_names;
pub(crate) mod flags;
pub(crate) mod info;
pub(crate) mod interrupt;
pub(crate) mod json_file;
pub(crate) mod labels;
pub(crate) mod man;
pub(crate) mod measure;
pub(crate) mod predict;
pub(crate) mod program;
pub(crate) mod ranks;
pub(crate) mod settings;
pub(crate) mod train;

pub use program::{sam2unet, train};
