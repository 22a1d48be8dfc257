//! What tests share: golden files, small models and pictures, devices.

pub mod archive;
pub mod baselines;
#[cfg(feature = "cuda")]
pub mod case;
pub mod class_scores;
pub mod class_sets;
pub mod described;
pub mod devices;
pub mod golden;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod numbers;
pub mod pickle;
pub mod pico;
pub mod pictures;
pub mod predicted_set;
pub mod python;
pub mod random;
pub mod ranks;
pub mod run_folder;
pub mod run_log;
pub mod scenes;
pub mod scores;
pub mod shared;
mod shared_tests;
pub mod small_model;
pub mod source;
pub mod split_pass;
pub mod tiff;
pub mod toy;
pub mod tree;
pub mod wrong;
