//! Batch normalisation with the statistics of the batch (training). Inference folds it into the convolution before it:
//! [`Activation::conv_norm`](super::activation::Activation::conv_norm).

use super::tape::{Erased, GradientOf, erase, erase_map, record_backward, retype};
use crate::kernels::batch_norm::BatchNormKernel;
use crate::kernels::whole_batch::{WholeBatch, all_rows};
use crate::nn::backend::bound::Backend;
use crate::nn::shape::Map;
use crate::nn::whole_batch::whole_batch;
use dfdx::prelude::*;

/// `(B, H, H, C)` normalised by the batch's own mean and variance, then a ReLU if asked for; also gives that mean and
/// the unbiased variance, `(C,)` each, for the running statistics. Within [`as_part_of`](crate::nn::as_part_of) they are the
/// whole batch's.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the batch has only one value per channel, of which there
/// is no variance.
///
/// # Errors
/// When the device fails.
#[allow(clippy::type_complexity)]
pub fn batch_norm<B, H, C, D, T>(
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
    let (y, statistics) = erased(erase_map(x), erase(scale.clone()), erase(bias.clone()), relu)?;
    Ok((retype(y), statistics.map(retype)))
}

/// Checks that a map has a variance, or that of the whole batch, if this is a part of it.
///
/// # Panics
/// When it has only one value per channel.
pub(super) fn check_values([batch, height, width, _]: [usize; 4], whole: Option<&dyn WholeBatch>) {
    assert!(
        all_rows(whole, batch * height * width) > 1,
        "batch normalisation in training needs more than one value a channel, and a map of {batch} x {height} x {width} has one"
    );
}

#[allow(clippy::type_complexity)]
fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    scale: Erased<1, D>,
    bias: Erased<1, D>,
    relu: bool,
) -> Result<(Erased<4, D, T>, [Erased<1, D>; 2]), D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let whole = whole_batch();
    check_values(*x.shape(), whole.as_deref());
    let device = x.device().clone();
    let channels = *scale.shape();
    let views = (device.view(&x), device.view(&scale), device.view(&bias));
    let (d, part_of, (x_view, scale_view, bias_view)) = (&device, whole.as_deref(), &views);
    let (y, (mean, (variance, saved))) = d.build_with(*x.shape(), |y| {
        d.build_with(channels, move |mean| {
            d.build_with(channels, move |variance| {
                d.run(|k| k.batch_norm(x_view, scale_view, bias_view, relu, part_of, y, (mean, variance)))
            })
        })
    })?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&x), GradientOf::tensor(&scale), GradientOf::tensor(&bias)];
        // The views, not the tensors: a convolution's output has no other reader, and is freed.
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |_, k, gy, [gx, g_scale, g_bias]| {
            let (x, scale, bias) = views;
            k.batch_norm_backward(&x, &scale, &bias, relu, whole.as_deref(), saved, &gy, (gx, g_scale, g_bias))
        });
    }
    Ok((y.put_tape(tape), [mean, variance]))
}
