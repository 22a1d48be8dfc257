//! The frozen stem: 7x7 convolution with stride 4 and the positional embedding.

use super::{Erased, erase, retype};

use crate::nn::{Backend, Frozen, Image, Map, Side, backend::Memory};

use dfdx::prelude::*;

/// `conv7x7(x) + bicubic(background) + tiled(window)`, channels last. It is frozen and comes first, so
/// it has no backward pass; the tape goes on, as it owns the leaves' gradients.
///
/// # Panics
/// When the side is a `usize` that is no multiple of 32, or below 64.
///
/// # Errors
/// The device's.
#[allow(clippy::type_complexity)]
pub fn patch_embed<B, S, C, Bg, W, D, T>(
    x: Image<B, S, D, T>,
    weight: &Frozen<(C, Const<3>, Const<7>, Const<7>), D>,
    bias: &Frozen<(C,), D>,
    background: &Frozen<(Const<1>, C, Bg, Bg), D>,
    window: &Frozen<(Const<1>, C, W, W), D>,
) -> Result<Map<B, S::Quarter, C, D, T>, D::Err>
where
    B: Dim,
    S: Side,
    C: ConstDim,
    Bg: ConstDim,
    W: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    let weights =
        StemWeights { weight: weight.data(), bias: bias.data(), background: background.data(), window: window.data() };
    Ok(retype(erased(erase(x), C::SIZE, weights)?))
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    channels: usize,
    weights: StemWeights<'_, D::Frozen>,
) -> Result<Erased<4, D, T>, D::Err> {
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (device, [batch, _, side, _]) = (x.device().clone(), *x.shape());
    // Only a side known at run time can be wrong here.
    assert!(side >= 64 && side.is_multiple_of(32), "an image's side is a multiple of 32 from 64 on, not {side}");
    let y = device.build([batch, side / 4, side / 4, channels], |y| {
        device.patch_embed(StemSize { batch, side, channels }, &device.view(&x), weights, y)
    })?;
    Ok(y.put_tape(tape))
}
