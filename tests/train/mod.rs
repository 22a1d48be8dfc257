//! Training.

#[cfg(feature = "cuda")]
mod cuda;
mod faults;
mod resume;
mod run;
mod session;
mod sources;
mod trainer;
