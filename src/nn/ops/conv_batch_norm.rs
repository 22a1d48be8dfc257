//! A convolution and batch normalisation with the batch's statistics (training) as one operation: what lies
//! between them is no tensor, is copied nowhere and has no gradient on the tape.
//!
//! A 1x1 convolution is computed from `x - mean(x)`: the batch norm takes the difference away again, and the
//! convolution's gradient sums to zero over the pixels, so that output and gradients are the same in exact arithmetic.
//! In single precision they are far nearer to it where a map's mean dwarfs its spread, as a trunk's maps may.

use super::conv2d::ConvSize;
use super::{Erased, Keep, Slot, erase, record, retype};
use crate::nn::{Backend, Map, Precision};
use dfdx::prelude::*;

/// Scale and bias of a batch normalisation.
pub type NormRef<'a, C, D> = [&'a Tensor<(C,), f32, D>; 2];

/// [`conv2d`](super::conv2d()) without bias, then [`batch_norm_train`](super::batch_norm_train): the same function. With
/// [`Keep::Input`] what lies between them is computed again for the backward pass.
///
/// # Errors
/// The device's.
#[allow(clippy::type_complexity)]
pub fn conv_batch_norm_train<B, H, C, CO, KH, KW, D, T>(
    x: Map<B, H, C, D, T>,
    weight: &Tensor<(CO, C, KH, KW), f32, D>,
    norm: NormRef<'_, CO, D>,
    dilation: usize,
    relu: bool,
    (precision, keep): (Precision, Keep),
) -> Result<(Map<B, H, CO, D, T>, [Tensor<(CO,), f32, D>; 2]), D::Err>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    CO: ConstDim,
    KH: ConstDim,
    KW: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(KH::SIZE % 2 == 1 && KW::SIZE % 2 == 1, "a kernel's sides are odd") };
    let (y, statistics) =
        erased(erase(x), erase(weight.clone()), norm.map(|n| erase(n.clone())), dilation, relu, (precision, keep))?;
    Ok((retype(y), statistics.map(retype)))
}

/// What the backward pass reads the input from.
enum Kept<D: Backend> {
    /// The tensor, and what a 1x1 convolution takes away from each channel.
    Tensor(Erased<4, D>, D::View),
    /// What the convolution saw.
    Seen(D::View),
}

#[allow(clippy::type_complexity)]
fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    w: Erased<4, D>,
    [scale, bias]: [Erased<1, D>; 2],
    dilation: usize,
    relu: bool,
    (precision, keep): (Precision, Keep),
) -> Result<(Erased<4, D, T>, [Erased<1, D>; 2]), D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let device = x.device().clone();
    let ([batch, side, _, channels], [out_channels, _, kh, kw]) = (*x.shape(), *w.shape());
    let size = ConvSize { batch, side, channels, out_channels, kernel: [kh, kw], dilation, precision };
    let shape = [batch, side, side, out_channels];
    let views = (device.view(&w), device.view(&scale), device.view(&bias));
    let mut seen = device.view(&x);
    let (d, (w_view, scale_view, bias_view)) = (&device, &views);
    let centre = if kh * kw == 1 { Some(d.channel_mean(&seen, channels)?) } else { None };
    if let Some(centre) = &centre {
        seen = d.centred(seen, centre)?;
    }
    let convolved = move |d: &D, seen: &D::View, weight: &D::View| {
        d.overwrite(shape.into_iter().product(), |u| d.conv2d(size, seen, weight, None, false, u))
    };
    let between = convolved(d, &seen, w_view)?;
    let (y, (mean, (variance, saved))) = d.build_with(shape, |y| {
        d.build_with([out_channels], |mean| {
            d.build_with([out_channels], |variance| {
                d.batch_norm(&between, scale_view, bias_view, relu, y, (mean, variance))
            })
        })
    })?;
    let mean = match &centre {
        Some(centre) => {
            let pixel = ConvSize { batch: 1, side: 1, precision: Precision::F32, ..size };
            mean.try_add(d.build([out_channels], |y| d.conv2d(pixel, centre, w_view, None, false, y))?)?
        }
        None => mean,
    };
    if T::OWNS_TAPE {
        let inputs = [Slot::of(&x), Slot::of(&w), Slot::of(&scale), Slot::of(&bias)];
        // A 1x1 convolution's input often has other readers, who keep the tensor alive anyway: it is read again. The
        // others' has none, and the view takes the tensor's place.
        let kept = match centre {
            Some(centre) => Kept::Tensor(x, centre),
            None => Kept::Seen(seen),
        };
        let between = (keep != Keep::Input).then_some(between);
        record(&mut tape, &device, inputs, Slot::of(&y), move |d, gy, [gx, gw, g_scale, g_bias]| {
            let (w, scale, bias) = views;
            let seen = || match kept {
                Kept::Tensor(x, centre) => d.centred(d.view(&x), &centre),
                Kept::Seen(seen) => Ok(seen),
            };
            let back = |between: &D::View| {
                d.fill(shape.into_iter().product(), |gu| {
                    d.batch_norm_backward(between, &scale, &bias, relu, saved, &gy, (gu, g_scale, g_bias))
                })
            };
            let (x, g_between) = match between {
                Some(between) => {
                    let g_between = back(&between)?;
                    drop(between);
                    (seen()?, g_between)
                }
                None => {
                    let x = seen()?;
                    let g_between = back(&convolved(d, &x, &w)?)?;
                    (x, g_between)
                }
            };
            drop(gy);
            d.conv2d_backward(size, &x, &w, None, &g_between, (gx, gw, None))
        });
    }
    Ok((y.put_tape(tape), [mean, variance]))
}
