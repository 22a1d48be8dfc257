//! The join of a decoder step: the deep map is upsampled to twice its size and concatenated to the skip.

use super::tape::{Erased, GradientOf, erase_map, record_backward, retype};
use crate::kernels::extent::Extent;
use crate::kernels::up2_concat::{JoinSize, Up2ConcatKernel};
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{EvenSide, Map};
use dfdx::prelude::*;

/// Skip `(B, H, H, C)` and deep `(B, H/2, H/2, C)` to `(B, H, H, C2)`: `[skip, upsampled deep map]` along the channels; bilinear,
/// corners on corners (`align_corners=True`).
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the deep map does not have the skip's batch and half its
/// side.
///
/// # Errors
/// When the device fails.
pub fn up2_concat<B, H, C, C2, D, T>(
    skip: Map<B, H, C, D, T>,
    deep: Map<B, H::Half, C, D, T>,
) -> Result<Map<B, H, C2, D, T>, D::Err>
where
    B: Dim,
    H: EvenSide,
    C: ConstDim,
    C2: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(C2::SIZE == 2 * C::SIZE, "concatenation adds the channels") };
    Ok(retype(erased(erase_map(skip), erase_map(deep))?))
}

/// The sizes of a join, after checking both maps.
///
/// # Panics
/// When they do not fit.
pub(super) fn join_size([b, h, w, c]: [usize; 4], deep: [usize; 4]) -> JoinSize {
    let fits = deep[..3] == [b, h / 2, w / 2] && h.is_multiple_of(2) && w.is_multiple_of(2);
    assert!(fits, "a decoder step joins a skip {:?} and a deep map of half its side, not {:?}", [b, h, w, c], deep);
    JoinSize { batch: b, map: Extent::new(h, w), skip: c, deep: deep[3] }
}

fn erased<D: Backend, T: Tape<f32, D>>(
    skip: Erased<4, D, T>,
    deep: Erased<4, D, T>,
) -> Result<Erased<4, D, T>, D::Err> {
    let (skip, tape) = skip.try_contiguous()?.split_tape();
    let (deep, other) = deep.try_contiguous()?.split_tape();
    let (device, mut tape) = (skip.device().clone(), tape.merge(other));
    let size = join_size(*skip.shape(), *deep.shape());
    let shape = [size.batch, size.map.height, size.map.width, size.skip + size.deep];
    let y = device.build(shape, |k, y| k.up2_concat(size, &device.view(&skip), &device.view(&deep), y))?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&skip), GradientOf::tensor(&deep)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |_, k, gy, gradients| {
            k.up2_concat_backward(size, &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
