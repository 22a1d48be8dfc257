//! Labels of a folder of images: where they stand, what they mean, and how they are read.

pub(crate) mod kind;
pub(crate) mod pairing;
pub(crate) mod reader;
pub(crate) mod source;
