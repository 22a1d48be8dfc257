//! The structure loss: cross-entropy plus IoU, both weighted towards edges (paper, "Loss function"; F3Net, arXiv
//! 1911.11445). Of labels that may overlap it compares each with its mask; of classes that exclude each other, their
//! softmax with the index map. The three outputs' losses are added up.

use crate::kernels::structure_loss::CrossEntropy;
use crate::nn::backend::bound::Backend;
use crate::nn::ops::exclusive_loss::{exclusive_loss, exclusive_weights};
use crate::nn::ops::structure_loss::{loss_weights, structure_loss};
use crate::nn::shape::{Classes, Masks, Side};
use crate::nn::targets::{Targets, Truth};
use dfdx::prelude::*;

/// The paper's: each pixel's cross-entropy counts by its weight.
pub fn paper<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
    outputs: [Masks<B, S, K, D, T>; 3],
    targets: &Targets<'_, B, S, K, D>,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    of_all(outputs, targets, CrossEntropy::Weighted)
}

/// The published training script's: pixels do not count by weight in the cross-entropy, but by that of their class, if
/// classes have weights.
pub fn published_script<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
    outputs: [Masks<B, S, K, D, T>; 3],
    targets: &Targets<'_, B, S, K, D>,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    of_all(outputs, targets, CrossEntropy::Plain)
}

/// The sum over the outputs. The pixels' weights depend on the truth alone, so they are computed once.
fn of_all<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
    outputs: [Masks<B, S, K, D, T>; 3],
    &Targets { ref truth, class_weights }: &Targets<'_, B, S, K, D>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let (mask, known) = match truth {
        Truth::Masks(mask) => (*mask, None),
        Truth::MasksAndKnown(mask, known) => (*mask, Some(*known)),
        Truth::Index(index) => {
            let weights = exclusive_weights(index)?;
            return sum(outputs, |logits| exclusive_loss(logits, index, &weights, class_weights, cross_entropy));
        }
    };
    let weights = loss_weights(mask, known)?;
    sum(outputs, |logits| structure_loss(logits, mask, &weights, class_weights, cross_entropy))
}

fn sum<X, D: Backend, T: Tape<f32, D>>(
    [head, side1, side2]: [X; 3],
    of: impl Fn(X) -> Result<Tensor<(), f32, D, T>, D::Err>,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    of(head)?.try_add(of(side1)?)?.try_add(of(side2)?)
}
