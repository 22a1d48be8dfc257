//! The structure loss: cross-entropy plus IoU, both weighted towards the edges of the mask (paper, "Loss function"; F3Net,
//! arXiv 1911.11445). The three outputs' losses are added up.

use crate::kernels::structure_loss::CrossEntropy;
use crate::nn::backend::bound::Backend;
use crate::nn::ops::structure_loss::{loss_weights, structure_loss};
use crate::nn::shape::{Masks, Side};
use dfdx::prelude::*;

/// The paper's: each pixel's cross-entropy counts by its weight.
pub fn paper<B: Dim, S: Side, K: Dim, D: Backend, T: Tape<f32, D>>(
    outputs: [Masks<B, S, K, D, T>; 3],
    mask: &Masks<B, S, K, D>,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    sum(outputs, mask, CrossEntropy::Weighted)
}

/// The published training script's: the cross-entropy is a plain mean over all pixels.
pub fn published_script<B: Dim, S: Side, K: Dim, D: Backend, T: Tape<f32, D>>(
    outputs: [Masks<B, S, K, D, T>; 3],
    mask: &Masks<B, S, K, D>,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    sum(outputs, mask, CrossEntropy::Plain)
}

/// The sum over the outputs. The weights depend on the mask alone, so they are computed once.
fn sum<B: Dim, S: Side, K: Dim, D: Backend, T: Tape<f32, D>>(
    [head, side1, side2]: [Masks<B, S, K, D, T>; 3],
    mask: &Masks<B, S, K, D>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let weights = loss_weights(mask)?;
    let of = |logits| structure_loss(logits, mask, &weights, cross_entropy);
    of(head)?.try_add(of(side1)?)?.try_add(of(side2)?)
}
