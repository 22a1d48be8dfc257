//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net,
//! arXiv 1911.11445). Its weights stress pixels near edges of the mask.

use super::tape::{Erased, GradientOf, erase, record_backward, retype};
use crate::kernels::extent::Extent;
use crate::kernels::structure_loss::{CrossEntropy, StructureLossKernel};
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{Masks, Side, check_map};
use dfdx::prelude::*;

/// Each pixel's weight, off the tape: `1 + 5 |avgpool31(mask) - mask|`, `(B, K, S, S)`.
///
/// # Panics
/// When a run-time batch is empty, or a run-time side is not square.
///
/// # Errors
/// When the device fails.
pub fn loss_weights<B: Dim, S: Side, K: Dim, D: Backend>(
    mask: &Masks<B, S, K, D>,
) -> Result<Masks<B, S, K, D>, D::Err> {
    let mask = erase(mask.clone()).try_contiguous()?;
    let (device, plane) = (mask.device().clone(), plane_of(*mask.shape()));
    let y = device.build(*mask.shape(), |k, y| k.loss_weights(plane, &device.view(&mask), y))?;
    Ok(retype(y))
}

/// The loss of one output's logits `(B, K, S, S)` against a mask in `0..=1`, averaged over images and classes.
///
/// With weights `w`, probabilities `p` and mask `m`, sums over a plane:
/// `sum(w bce) / sum(w) + 1 - (sum(w p m) + 1) / (sum(w (p + m)) - sum(w p m) + 1)`. With [`CrossEntropy::Plain`] the
/// first part is the mean of `bce`.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or logits, mask and weights differ in shape.
///
/// # Errors
/// When the device fails.
pub fn structure_loss<B: Dim, S: Side, K: Dim, D: Backend, T: Tape<f32, D>>(
    logits: Masks<B, S, K, D, T>,
    mask: &Masks<B, S, K, D>,
    weights: &Masks<B, S, K, D>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    erased(erase(logits), erase(mask.clone()), erase(weights.clone()), cross_entropy)
}

/// Height and width of planes `(batch, classes, height, width)`.
fn plane_of([batch, _, height, width]: [usize; 4]) -> Extent {
    check_map(batch, height, width).unwrap_or_else(|e| panic!("{e}"));
    Extent::new(height, width)
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    mask: Erased<4, D>,
    weights: Erased<4, D>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (mask, weights) = (mask.try_contiguous()?, weights.try_contiguous()?);
    let (device, plane) = (x.device().clone(), plane_of(*x.shape()));
    assert_eq!(x.shape(), mask.shape(), "logits and mask differ in shape");
    assert_eq!(x.shape(), weights.shape(), "logits and the loss's weights differ in shape");
    let y = device.build((), |k, y| {
        let (mask, weights) = (device.view(&mask), device.view(&weights));
        k.structure_loss(plane, cross_entropy, &device.view(&x), &mask, &weights, y)
    })?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&x)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |d, k, gy, [gx]| {
            let (mask, weights) = (d.view(&mask), d.view(&weights));
            k.structure_loss_backward(plane, cross_entropy, &d.view(&x), &mask, &weights, &gy, gx)
        });
    }
    Ok(y.put_tape(tape))
}
