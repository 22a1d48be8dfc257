//! Scores.

mod classes;
mod summary;
