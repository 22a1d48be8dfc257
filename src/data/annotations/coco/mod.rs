//! COCO's annotation files.

pub(crate) mod file;
mod raw;
