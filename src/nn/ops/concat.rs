//! Concatenation of four maps along the channels: the branches of a receptive-field block.

use super::tape::{Erased, GradientOf, erase_map, record_backward, retype};
use crate::kernels::concat::ConcatKernel;
use crate::nn::backend::bound::Backend;
use crate::nn::shape::Map;
use dfdx::prelude::*;

/// Four `(B, H, H, C)` to one `(B, H, H, C4)`.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the maps differ in either.
///
/// # Errors
/// When the device fails.
pub fn concat4<B, H, C, C4, D, T>(maps: [Map<B, H, C, D, T>; 4]) -> Result<Map<B, H, C4, D, T>, D::Err>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    C4: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(C4::SIZE == 4 * C::SIZE, "concatenation adds the channels") };
    Ok(retype(erased(maps.map(erase_map))?))
}

fn erased<D: Backend, T: Tape<f32, D>>(maps: [Erased<4, D, T>; 4]) -> Result<Erased<4, D, T>, D::Err> {
    let mut tape = T::default();
    let mut split = Vec::with_capacity(4);
    for map in maps {
        let (map, other) = map.try_contiguous()?.split_tape();
        tape = tape.merge(other);
        split.push(map);
    }
    let Ok(maps) = <[Erased<4, D>; 4]>::try_from(split) else { unreachable!("four went in") };
    let [b, h, w, c] = *maps[0].shape();
    let shapes = maps.each_ref().map(|m| *m.shape());
    assert!(shapes.iter().all(|s| *s == shapes[0]), "four maps to put side by side differ in shape: {shapes:?}");
    let device = maps[0].device().clone();
    let y = device.build([b, h, w, 4 * c], |k, y| k.concat4(c, &maps.each_ref().map(|m| device.view(m)), y))?;
    if T::OWNS_TAPE {
        let inputs = maps.each_ref().map(GradientOf::tensor);
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |_, k, gy, gradients| {
            k.concat4_backward(c, &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
