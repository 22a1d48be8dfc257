//! The whole network against the yardstick.

mod at_352;
mod gradients;
mod loss;
mod multiclass;
mod precision;
mod steps;
mod values;
