//! With a tape or without: inference and training as types.

use super::bound::Backend;
use dfdx::prelude::*;

/// No tape: what `forward` takes.
#[diagnostic::on_unimplemented(
    message = "`forward` is inference and takes a tensor without a tape",
    label = "this input carries a tape: call `forward_mut` to train, or drop the tape with `split_tape()`"
)]
pub trait Inference<D: Backend>: Tape<f32, D> {}
impl<D: Backend> Inference<D> for NoneTape {}

/// A tape: what `forward_mut` takes.
#[diagnostic::on_unimplemented(
    message = "`forward_mut` is training and takes a tensor with a tape",
    label = "this input has no tape: call `forward` to predict, or `.traced(gradients)` on it to train"
)]
pub trait Training<D: Backend>: Tape<f32, D> {}
impl<D: Backend> Training<D> for OwnedTape<f32, D> {}
