//! Two-dimensional convolution with any odd kernel and dilation, stride 1, "same" padding.

use super::tape::{Erased, GradientOf, erase, erase_map, record_backward, retype};
use crate::kernels::conv2d::{Conv2dKernel, ConvSize};
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::Backend;
use crate::nn::shape::Map;
use dfdx::prelude::*;

/// `(B, H, H, C)` to `(B, H, H, CO)` with padding `dilation * (k - 1) / 2`, so that the map keeps its side;
/// then a ReLU if asked for. Weight `(CO, C, KH, KW)`, bias `(CO,)`.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, the bias has another length, or the dilation is 0.
///
/// # Errors
/// When the device fails.
pub fn conv2d<B, H, C, CO, KH, KW, D, T>(
    x: Map<B, H, C, D, T>,
    weight: &Tensor<(CO, C, KH, KW), f32, D>,
    bias: Option<&Tensor<(CO,), f32, D>>,
    dilation: usize,
    relu: bool,
    precision: Precision,
) -> Result<Map<B, H, CO, D, T>, D::Err>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    CO: Dim,
    KH: ConstDim,
    KW: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(KH::SIZE % 2 == 1 && KW::SIZE % 2 == 1, "a kernel's sides are odd") };
    let outputs = weight.shape().0.size();
    assert!(bias.is_none_or(|b| b.shape().0.size() == outputs), "a bias for each of {outputs} output channels");
    assert!(dilation > 0, "a dilation of 0");
    let bias = bias.map(|b| erase(b.clone()));
    Ok(retype(erased(erase_map(x), erase(weight.clone()), bias, dilation, relu, precision)?))
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    w: Erased<4, D>,
    bias: Option<Erased<1, D>>,
    dilation: usize,
    relu: bool,
    precision: Precision,
) -> Result<Erased<4, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let device = x.device().clone();
    let ([batch, height, width, channels], [out_channels, _, kh, kw]) = (*x.shape(), *w.shape());
    let map = Extent::new(height, width);
    let size = ConvSize { batch, map, channels, out_channels, kernel: [kh, kw], dilation, precision };
    let y = device.build([batch, height, width, out_channels], |k, y| {
        let bias = bias.as_ref().map(|b| device.view(b));
        k.conv2d(size, &device.view(&x), &device.view(&w), bias.as_ref(), relu, y)
    })?;
    if T::OWNS_TAPE {
        let output = GradientOf::tensor(&y);
        let rectified = relu.then(|| y.clone());
        match &bias {
            Some(bias) => {
                let inputs = [GradientOf::tensor(&x), GradientOf::tensor(&w), GradientOf::tensor(bias)];
                record_backward(&mut tape, &device, inputs, output, move |d, k, gy, [gx, gw, gb]| {
                    let relu = rectified.as_ref().map(|y| d.view(y));
                    k.conv2d_backward(size, &d.view(&x), &d.view(&w), relu.as_ref(), &gy, (gx, gw, Some(gb)))
                });
            }
            None => {
                let inputs = [GradientOf::tensor(&x), GradientOf::tensor(&w)];
                record_backward(&mut tape, &device, inputs, output, move |d, k, gy, [gx, gw]| {
                    let relu = rectified.as_ref().map(|y| d.view(y));
                    k.conv2d_backward(size, &d.view(&x), &d.view(&w), relu.as_ref(), &gy, (gx, gw, None))
                });
            }
        }
    }
    Ok(y.put_tape(tape))
}
