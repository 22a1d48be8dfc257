//! Sum of two maps, then a ReLU: how a receptive-field block joins its shortcut.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Map, backend::Memory};

use dfdx::prelude::*;

/// `max(a + b, 0)`, both `(B, H, H, C)`.
///
/// # Errors
/// The device's.
pub fn add_relu<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Tape<f32, D>>(
    a: Map<B, H, C, D, T>,
    b: Map<B, H, C, D, T>,
) -> Result<Map<B, H, C, D, T>, D::Err> {
    Ok(retype(erased(erase(a), erase(b))?))
}

fn erased<D: Backend, T: Tape<f32, D>>(a: Erased<4, D, T>, b: Erased<4, D, T>) -> Result<Erased<4, D, T>, D::Err> {
    let (a, tape) = a.try_contiguous()?.split_tape();
    let (b, other) = b.try_contiguous()?.split_tape();
    let (device, mut tape) = (a.device().clone(), tape.merge(other));
    assert_eq!(a.shape(), b.shape(), "batches of one size"); // can differ only where B is `usize`
    let y = device.build(*a.shape(), |y| device.add_relu(&device.view(&a), &device.view(&b), y))?;
    if T::OWNS_TAPE {
        let rectified = y.clone();
        let inputs = [Slot::of(&a), Slot::of(&b)];
        record(&mut tape, &device, inputs, Slot::of(&y), move |d, gy, gradients| {
            d.add_relu_backward(&d.view(&rectified), &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
