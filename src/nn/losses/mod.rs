//! Training losses: one file each, and the table that names them.

pub(crate) mod structure;
pub(crate) mod table;
