//! What runs on the device `Cuda`: a GPU, or its stand-in.

mod kvasir;
mod ops;
mod resume;
