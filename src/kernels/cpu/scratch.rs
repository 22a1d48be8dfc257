//! The old name of [`Buffer`](super::buffer::Buffer), for the files that still use it.

pub use super::buffer::Buffer as Scratch;
