//! One binary for all integration tests.

mod checkpoint;
mod compile_fail;
mod data;
mod golden;
mod metrics;
mod network;
mod programs;
mod train;
