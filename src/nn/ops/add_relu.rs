//! Sum of two maps, then a ReLU: how a receptive-field block joins its shortcut.

use super::tape::{Erased, GradientOf, erase_map, record_backward, retype};
use crate::kernels::add_relu::AddReluKernel;
use crate::nn::backend::bound::Backend;
use crate::nn::shape::Map;
use dfdx::prelude::*;

/// `max(a + b, 0)`, both `(B, H, H, C)`.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the two maps differ in either.
///
/// # Errors
/// When the device fails.
pub fn add_relu<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Tape<f32, D>>(
    a: Map<B, H, C, D, T>,
    b: Map<B, H, C, D, T>,
) -> Result<Map<B, H, C, D, T>, D::Err> {
    Ok(retype(erased(erase_map(a), erase_map(b))?))
}

fn erased<D: Backend, T: Tape<f32, D>>(a: Erased<4, D, T>, b: Erased<4, D, T>) -> Result<Erased<4, D, T>, D::Err> {
    let (a, tape) = a.try_contiguous()?.split_tape();
    let (b, other) = b.try_contiguous()?.split_tape();
    let (device, mut tape) = (a.device().clone(), tape.merge(other));
    assert_eq!(a.shape(), b.shape(), "two maps to add differ in shape");
    let y = device.build(*a.shape(), |k, y| k.add_relu(&device.view(&a), &device.view(&b), y))?;
    if T::OWNS_TAPE {
        let rectified = y.clone();
        let inputs = [GradientOf::tensor(&a), GradientOf::tensor(&b)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |d, k, gy, gradients| {
            k.add_relu_backward(&d.view(&rectified), &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
