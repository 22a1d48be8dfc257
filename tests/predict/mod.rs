//! What is predicted and where masks go. No model is needed for that.

mod existing;
mod plan;
