//! The network: its numbers against the yardstick, its shapes, roles and names.

mod classes;
mod losses;
mod network;
mod ops;
mod predictor;
mod sam2unet;
mod shape;
mod targets;
mod weights;
