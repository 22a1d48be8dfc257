//! Training.

mod faults;
mod resume;
mod run;
mod sources;
#[path = "../support/toy.rs"]
mod toy;
mod trainer;
