//! An adapter and the frozen Hiera block that follows it.

mod adapter;
mod attend;
mod by_window;
mod kernel;
mod mlp;
mod pass;
pub mod state;

#[cfg(test)]
mod tests;
