//! What is predicted, where masks go, and what they are made of.

mod existing;
mod plan;
mod predictor;
