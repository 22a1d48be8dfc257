//! The whole network against the yardstick.

mod at_352;
mod gradients;
mod loss;
mod precision;
mod steps;
mod values;
