//! Batch normalisation with the statistics of the batch (training). Inference folds it into the
//! convolution before it: `Conv2dKernel::conv_batch_norm_inference`.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Map, backend::Memory};

use dfdx::prelude::*;

/// `(B, H, H, C)` normalised by the batch's own mean and variance, and these two (the variance
/// unbiased, as running statistics take it).
///
/// # Errors
/// The device's.
#[allow(clippy::type_complexity)]
pub fn batch_norm_train<B, H, C, D, T>(
    x: Map<B, H, C, D, T>,
    scale: &Tensor<(C,), f32, D>,
    bias: &Tensor<(C,), f32, D>,
    relu: bool,
) -> Result<(Map<B, H, C, D, T>, [Tensor<(C,), f32, D>; 2]), D::Err>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    let (y, statistics) = erased(erase(x), erase(scale.clone()), erase(bias.clone()), relu)?;
    Ok((retype(y), statistics.map(retype)))
}

#[allow(clippy::type_complexity)]
fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    scale: Erased<1, D>,
    bias: Erased<1, D>,
    relu: bool,
) -> Result<(Erased<4, D, T>, [Erased<1, D>; 2]), D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let device = x.device().clone();
    let channels = *scale.shape();
    let views = (device.view(&x), device.view(&scale), device.view(&bias));
    let (d, (x_view, scale_view, bias_view)) = (&device, &views);
    let (y, (mean, (variance, saved))) = d.build_with(*x.shape(), |y| {
        d.build_with(channels, move |mean| {
            d.build_with(channels, move |variance| {
                d.batch_norm(x_view, scale_view, bias_view, relu, y, (mean, variance))
            })
        })
    })?;
    if T::OWNS_TAPE {
        let inputs = [Slot::of(&x), Slot::of(&scale), Slot::of(&bias)];
        // The views, not the tensors: a convolution's output has no other reader, and is freed.
        record(&mut tape, &device, inputs, Slot::of(&y), move |d, gy, [gx, g_scale, g_bias]| {
            let (x, scale, bias) = views;
            d.batch_norm_backward(&x, &scale, &bias, relu, saved, &gy, (gx, g_scale, g_bias))
        });
    }
    Ok((y.put_tape(tape), [mean, variance]))
}
