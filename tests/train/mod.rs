//! Training: the loop on a toy model, steps of the network, runs on a GPU.

#[cfg(feature = "cuda")]
mod cuda;
mod run;
mod session;
