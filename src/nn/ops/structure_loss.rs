//! The loss of one output: weighted cross-entropy plus weighted IoU (paper, section 3.4; F3Net,
//! arXiv 1911.11445). Weights stress pixels near edges of the mask.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Masks, Side, backend::Memory};

use dfdx::prelude::*;

/// Each pixel's weight, off the tape: `1 + 5 |avgpool31(mask) - mask|`, `(B, K, S, S)`.
///
/// # Errors
/// The device's.
pub fn loss_weights<B: Dim, S: Side, const K: usize, D: Backend>(
    mask: &Masks<B, S, K, D>,
) -> Result<Masks<B, S, K, D>, D::Err> {
    let mask = erase(mask.clone()).try_contiguous()?;
    let device = mask.device().clone();
    let y = device.build(*mask.shape(), |y| device.loss_weights(mask.shape()[3], &device.view(&mask), y))?;
    Ok(retype(y))
}

/// The loss of logits `(B, K, S, S)` against a mask in `0..=1`, averaged over images and classes.
///
/// With weights `w`, probabilities `p` and mask `m`, sums over a plane:
/// `sum(w bce) / sum(w) + 1 - (sum(w p m) + 1) / (sum(w (p + m)) - sum(w p m) + 1)`.
///
/// # Errors
/// The device's.
pub fn structure_loss<B: Dim, S: Side, const K: usize, D: Backend, T: Tape<f32, D>>(
    logits: Masks<B, S, K, D, T>,
    mask: &Masks<B, S, K, D>,
    weights: &Masks<B, S, K, D>,
    flavour: LossFlavour,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    erased(erase(logits), erase(mask.clone()), erase(weights.clone()), flavour)
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    mask: Erased<4, D>,
    weights: Erased<4, D>,
    flavour: LossFlavour,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (mask, weights) = (mask.try_contiguous()?, weights.try_contiguous()?);
    let (device, side) = (x.device().clone(), x.shape()[3]);
    assert_eq!(x.shape(), mask.shape(), "batches of one size"); // can differ only where B is `usize`
    let y = device.build((), |y| {
        let (mask, weights) = (device.view(&mask), device.view(&weights));
        device.structure_loss(side, flavour, &device.view(&x), &mask, &weights, y)
    })?;
    if T::OWNS_TAPE {
        record(&mut tape, &device, [Slot::of(&x)], Slot::of(&y), move |d, gy, [gx]| {
            let (mask, weights) = (d.view(&mask), d.view(&weights));
            d.structure_loss_backward(side, flavour, &d.view(&x), &mask, &weights, &gy, gx)
        });
    }
    Ok(y.put_tape(tape))
}
