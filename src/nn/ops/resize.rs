//! A head's map at the image's side and in the paper's layout.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Map, Side, backend::Memory};

use dfdx::prelude::*;

/// `(B, H, H, K)` to `(B, K, S, S)`, where `S` is `side`.
///
/// # Errors
/// The device's.
#[allow(clippy::type_complexity)]
pub fn resize<S: Side, B: Dim, H: Dim, K: ConstDim, D: Backend, T: Tape<f32, D>>(
    x: Map<B, H, K, D, T>,
    side: S,
) -> Result<Tensor<(B, K, S, S), f32, D, T>, D::Err> {
    Ok(retype(erased(erase(x), side.size())?))
}

fn erased<D: Backend, T: Tape<f32, D>>(x: Erased<4, D, T>, to: usize) -> Result<Erased<4, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (device, [batch, from, _, classes]) = (x.device().clone(), *x.shape());
    let size = ResizeSize { batch, from, to, classes };
    let y = device.build([batch, classes, to, to], |y| device.resize(size, &device.view(&x), y))?;
    if T::OWNS_TAPE {
        record(&mut tape, &device, [Slot::of(&x)], Slot::of(&y), move |d, gy, [gx]| d.resize_backward(size, &gy, gx));
    }
    Ok(y.put_tape(tape))
}
