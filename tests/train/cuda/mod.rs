//! Training on a GPU, or its stand-in.

mod counts;
mod kvasir;
mod lost;
mod resume;
