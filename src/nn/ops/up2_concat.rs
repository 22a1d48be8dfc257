//! The join of a decoder step: the deep map doubled, beside the skip.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Even, Map, backend::Memory};

use dfdx::prelude::*;

/// Skip `(B, H, H, C)` and deep `(B, H/2, H/2, C)` to `(B, H, H, C2)`.
///
/// # Errors
/// The device's.
pub fn up2_concat<B, H, C, C2, D, T>(
    skip: Map<B, H, C, D, T>,
    deep: Map<B, H::Half, C, D, T>,
) -> Result<Map<B, H, C2, D, T>, D::Err>
where
    B: Dim,
    H: Even,
    C: ConstDim,
    C2: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(C2::SIZE == 2 * C::SIZE, "concatenation adds the channels") };
    Ok(retype(erased(erase(skip), erase(deep))?))
}

fn erased<D: Backend, T: Tape<f32, D>>(
    skip: Erased<4, D, T>,
    deep: Erased<4, D, T>,
) -> Result<Erased<4, D, T>, D::Err> {
    let (skip, tape) = skip.try_contiguous()?.split_tape();
    let (deep, other) = deep.try_contiguous()?.split_tape();
    let (device, mut tape) = (skip.device().clone(), tape.merge(other));
    let ([b, h, _, c], [deep_b, _, _, cd]) = (*skip.shape(), *deep.shape());
    assert_eq!(b, deep_b, "batches of one size"); // can differ only where B is `usize`
    let size = JoinSize { batch: b, side: h, skip: c, deep: cd };
    let y =
        device.build([b, h, h, c + cd], |y| device.up2_concat(size, &device.view(&skip), &device.view(&deep), y))?;
    if T::OWNS_TAPE {
        let inputs = [Slot::of(&skip), Slot::of(&deep)];
        record(&mut tape, &device, inputs, Slot::of(&y), move |d, gy, gradients| {
            d.up2_concat_backward(size, &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
