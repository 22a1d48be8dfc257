//! A data set as people describe it: where it lies, what its labels are, which classes they mean.

pub(crate) mod classes;
pub(crate) mod describe;
pub(crate) mod open;
pub(crate) mod parts;
mod values;
