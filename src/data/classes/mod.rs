//! Several classes: what they are called, which pixel values mean them, and index maps.

pub(crate) mod class;
pub(crate) mod folders;
pub(crate) mod index;
pub(crate) mod nearest;
pub(crate) mod palette;
pub(crate) mod prediction;
pub(crate) mod probability;
pub(crate) mod unknown;
pub(crate) mod values;
