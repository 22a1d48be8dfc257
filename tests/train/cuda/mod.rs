//! What runs on the device `Cuda`: a GPU, or its stand-in.

mod counts;
mod kvasir;
mod lost;
mod resume;
mod split_batch;
mod together;
