//! One file for each metric of several classes.

pub(crate) mod accuracy;
pub(crate) mod boundary_iou;
pub(crate) mod dice;
pub(crate) mod hd95;
pub(crate) mod iou;
pub(crate) mod nsd;
pub(crate) mod pixel_accuracy;
pub(crate) mod precision;
pub(crate) mod recall;
