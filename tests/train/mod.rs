//! Training.

mod classes;
#[cfg(feature = "cuda")]
mod cuda;
mod earlier;
mod faults;
mod formats;
mod kills;
mod layout;
mod over_ranks;
mod resume;
mod run;
mod session;
mod sources;
mod split_batch;
mod together;
mod trainer;
