//! Processes that train one model together.

pub(crate) mod cut;
pub(crate) mod whole;
