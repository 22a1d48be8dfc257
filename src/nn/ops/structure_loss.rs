//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, "Loss function"; F3Net,
//! arXiv 1911.11445). Its weights stress pixels near edges of the mask.

use super::tape::{Erased, GradientOf, erase, record_backward, retype};
use crate::kernels::extent::Extent;
use crate::kernels::structure_loss::{CrossEntropy, StructureLossKernel};
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{Classes, Masks, Side, check_map};
use crate::nn::targets::{ClassWeights, Known};
use dfdx::prelude::*;

/// Each pixel's weight, off the tape: `1 + 5 |avgpool31(mask) - mask|`, `(B, K, S, S)`. Pixels that are ignored count
/// in no mean, and have the weight 0.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the mask and what is known of it differ in shape.
///
/// # Errors
/// When the device fails.
pub fn loss_weights<B: Dim, S: Side, K: Classes, D: Backend>(
    mask: &Masks<B, S, K, D>,
    known: Option<&Known<B, S, K, D>>,
) -> Result<Masks<B, S, K, D>, D::Err> {
    let mask = erase(mask.clone()).try_contiguous()?;
    let (device, plane) = (mask.device().clone(), plane_of(*mask.shape()));
    let known = known.map(|known| match known {
        Known::OfAll(known) => erase(known.clone()).try_contiguous(),
        Known::OfEach(known) => erase(known.clone()).try_contiguous(),
    });
    let known = known.transpose()?;
    if let Some(known) = &known {
        let ([batch, classes, height, width], [_, planes, ..]) = (*mask.shape(), *known.shape());
        let planes = if planes == 1 { 1 } else { classes };
        assert_eq!(*known.shape(), [batch, planes, height, width], "a mask and what is known of it differ in shape");
    }
    let y = device.build(*mask.shape(), |k, y| {
        let known = known.as_ref().map(|known| device.view(known));
        k.loss_weights(plane, &device.view(&mask), known.as_ref(), y)
    })?;
    Ok(retype(y))
}

/// The loss of one output's logits `(B, K, S, S)` against a mask in `0..=1`, averaged over images and, by weight, over
/// classes.
///
/// With weights `w`, probabilities `p` and mask `m`, sums over the pixels of a plane that are not ignored: `sum(w bce)
/// / sum(w) + 1 - (sum(w p m) + 1) / (sum(w (p + m)) - sum(w p m) + 1)`. With [`CrossEntropy::Plain`] the first part is
/// the mean of `bce`. `weights` are those of [`loss_weights`]; a plane without a pixel to compare adds nothing, and
/// counts in the mean.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or logits, mask and weights differ in shape.
///
/// # Errors
/// When the device fails.
pub fn structure_loss<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
    logits: Masks<B, S, K, D, T>,
    mask: &Masks<B, S, K, D>,
    weights: &Masks<B, S, K, D>,
    class_weights: Option<&ClassWeights<K, D>>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let class_weights = class_weights.map(|weights| erase(weights.tensor().clone()));
    erased(erase(logits), [mask, weights].map(|numbers| erase(numbers.clone())), class_weights, cross_entropy)
}

/// Height and width of planes `(batch, classes, height, width)`.
fn plane_of([batch, _, height, width]: [usize; 4]) -> Extent {
    check_map(batch, height, width).unwrap_or_else(|e| panic!("{e}"));
    Extent::new(height, width)
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    [mask, weights]: [Erased<4, D>; 2],
    class_weights: Option<Erased<1, D>>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (mask, weights) = (mask.try_contiguous()?, weights.try_contiguous()?);
    let (device, plane) = (x.device().clone(), plane_of(*x.shape()));
    assert_eq!(x.shape(), mask.shape(), "logits and mask differ in shape");
    assert_eq!(x.shape(), weights.shape(), "logits and the loss's weights differ in shape");
    if let Some(weights) = &class_weights {
        assert_eq!(weights.shape()[0], x.shape()[1], "there is a weight for each class");
    }
    let y = device.build((), |k, y| {
        let (mask, weights) = (device.view(&mask), device.view(&weights));
        let class_weights = class_weights.as_ref().map(|weights| device.view(weights));
        k.structure_loss(plane, cross_entropy, &device.view(&x), &mask, &weights, class_weights.as_ref(), y)
    })?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&x)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |d, k, gy, [gx]| {
            let (x, mask, weights) = (d.view(&x), d.view(&mask), d.view(&weights));
            let class_weights = class_weights.as_ref().map(|weights| d.view(weights));
            k.structure_loss_backward(plane, cross_entropy, &x, &mask, &weights, class_weights.as_ref(), &gy, gx)
        });
    }
    Ok(y.put_tape(tape))
}
