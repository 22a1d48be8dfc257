//! What a run leaves for the eye: `curves.svg` from the log, `samples.png` from the model.

pub(in crate::train) mod curves;
pub(in crate::train) mod error;
pub(in crate::train) mod samples;
pub(in crate::train) mod svg;
