//! The frozen stem: 7x7 convolution with stride 4 and the positional embedding.

use super::tape::{Erased, erase, retype};
use crate::kernels::extent::Extent;
use crate::kernels::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use crate::nn::backend::bound::{Backend, FrozenOf};
use crate::nn::shape::{Image, Map, Side, check_image};
use crate::nn::weights::roles::Frozen;
use dfdx::prelude::*;

/// The stem's frozen weights, of a trunk whose first map has `C` channels.
#[derive(Debug)]
pub struct StemRef<'a, C: ConstDim, Bg: ConstDim, W: ConstDim, D: Backend> {
    /// `(C, 3, 7, 7)`.
    pub weight: &'a Frozen<(C, Const<3>, Const<7>, Const<7>), D>,
    /// `(C,)`.
    pub bias: &'a Frozen<(C,), D>,
    /// Background of the positional embedding, resized (bicubic) to the map.
    pub background: &'a Frozen<(Const<1>, C, Bg, Bg), D>,
    /// Window of the positional embedding, tiled over the map.
    pub window: &'a Frozen<(Const<1>, C, W, W), D>,
}

impl<'a, C: ConstDim, Bg: ConstDim, W: ConstDim, D: Backend> StemRef<'a, C, Bg, W, D> {
    pub(super) fn erased(&self) -> StemWeights<'a, FrozenOf<D>> {
        StemWeights {
            weight: self.weight.data(),
            bias: self.bias.data(),
            background: self.background.data(),
            window: self.window.data(),
        }
    }
}

/// `conv7x7(x) + bicubic(background) + tiled(window)`, channels last: `(B, 3, S, S)` to `(B, S/4, S/4, C)`. It is frozen and
/// comes first, so it has no backward pass; the image's tape is handed on, as it owns the leaves' gradients.
///
/// # Panics
/// When a run-time batch is empty, or a run-time side is not square, no multiple of 32, or below 64.
///
/// # Errors
/// When the device fails.
#[allow(clippy::type_complexity)]
pub fn patch_embed<B, S, C, Bg, W, D, T>(
    x: Image<B, S, D, T>,
    stem: StemRef<'_, C, Bg, W, D>,
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
    Ok(retype(erased(erase(x), C::SIZE, stem.erased())?))
}

/// The sizes of a stem of so many output channels, after checking the images `(batch, 3, height, width)`.
///
/// # Panics
/// When the batch is empty, or the side is not square, no multiple of 32, or below 64.
pub(super) fn stem_size([batch, _, height, width]: [usize; 4], channels: usize) -> StemSize {
    check_image(batch, height, width).unwrap_or_else(|e| panic!("{e}"));
    StemSize { batch, image: Extent::new(height, width), channels }
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    channels: usize,
    weights: StemWeights<'_, FrozenOf<D>>,
) -> Result<Erased<4, D, T>, D::Err> {
    let size = stem_size(*x.shape(), channels);
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (device, map) = (x.device().clone(), size.image.quarter());
    let y = device.build([size.batch, map.height, map.width, channels], |k, y| {
        k.patch_embed(size, &device.view(&x), weights, y)
    })?;
    Ok(y.put_tape(tape))
}
