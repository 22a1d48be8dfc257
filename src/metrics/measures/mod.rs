//! One file for each metric; `all.rs` lists them.

pub(crate) mod balanced_error_rate;
pub(crate) mod binary;
pub(crate) mod dice;
pub(crate) mod e_measure;
pub(crate) mod f_measure;
pub(crate) mod iou;
pub(crate) mod mae;
pub(crate) mod mirror;
pub(crate) mod s_measure;
pub(crate) mod weighted_f;
