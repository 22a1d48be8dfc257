//! Scores.

mod summary;
