//! Resizing of a head's map to the image's side, channels first as in the paper.

use super::tape::{Erased, GradientOf, erase_map, record_backward, retype};
use crate::kernels::extent::Extent;
use crate::kernels::resize::{ResizeKernel, ResizeSize};
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{Map, Masks, Side};
use dfdx::prelude::*;

/// `(B, H, H, K)` to `(B, K, S, S)`, where `S` is `side`; bilinear, `align_corners=False`.
///
/// # Panics
/// When a run-time batch is empty, or a run-time side is not square.
///
/// # Errors
/// When the device fails.
pub fn resize<S: Side, B: Dim, H: Dim, K: Dim, D: Backend, T: Tape<f32, D>>(
    x: Map<B, H, K, D, T>,
    side: S,
) -> Result<Masks<B, S, K, D, T>, D::Err> {
    Ok(retype(erased(erase_map(x), Extent::square(side.size()))?))
}

fn erased<D: Backend, T: Tape<f32, D>>(x: Erased<4, D, T>, to: Extent) -> Result<Erased<4, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (device, [batch, height, width, classes]) = (x.device().clone(), *x.shape());
    let size = ResizeSize { batch, from: Extent::new(height, width), to, classes };
    let y = device.build([batch, classes, to.height, to.width], |k, y| k.resize(size, &device.view(&x), y))?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&x)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |_, k, gy, [gx]| {
            k.resize_backward(size, &gy, gx)
        });
    }
    Ok(y.put_tape(tape))
}
