//! One binary for all property tests.

mod checkpoint;
mod data;
mod metrics;
mod network;
mod ops;
mod train;
