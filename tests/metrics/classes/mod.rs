//! Scores of several classes.

mod golden;
mod monai;
mod plain;
mod refusals;
