//! Training losses: one file each, and the table that names them.
//!
//! Each is a mean over images of what an image's outputs and truth give by themselves: all that is divided by is of one image,
//! the pixels that are not ignored and the weights of pixels and classes included. So the loss of a batch is the sum of the
//! losses of its parts, each by its share of the images, and so is its gradient: a batch can be spread over processes
//! ([`as_part_of`](super::as_part_of)) without a word between them about the loss.

pub(crate) mod structure;
pub(crate) mod table;
