//! Two-dimensional convolution with any odd kernel and dilation, stride 1, "same" padding.

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Map, Precision, backend::Memory};

use dfdx::prelude::*;

use std::fmt::Debug;

/// A convolution with its batch norm, and what is done around it.
#[derive(Debug)]
pub struct NormedConv<'a, C: ConstDim, CO: ConstDim, KH: ConstDim, KW: ConstDim, D: Conv2dKernel> {
    /// `(CO, C, KH, KW)`.
    pub weight: &'a Tensor<(CO, C, KH, KW), f32, D>,
    /// Scale, bias, running mean and running variance.
    pub norm: [&'a Tensor<(CO,), f32, D>; 4],
    /// Where what is made of them stays, if they do.
    pub folded: Option<&'a D::Folded>,
    /// Distance between neighbouring taps.
    pub dilation: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// What the products are computed in.
    pub precision: Precision,
}

/// `(B, H, H, C)` to `(B, H, H, CO)` with padding `dilation * (k - 1) / 2`, so that the map keeps its side;
/// then a ReLU if asked for.
///
/// # Errors
/// The device's.
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
    CO: ConstDim,
    KH: ConstDim,
    KW: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    const { assert!(KH::SIZE % 2 == 1 && KW::SIZE % 2 == 1, "a kernel's sides are odd") };
    let bias = bias.map(|b| erase(b.clone()));
    Ok(retype(erased(erase(x), erase(weight.clone()), bias, dilation, relu, precision)?))
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
    let ([batch, side, _, channels], [out_channels, _, kh, kw]) = (*x.shape(), *w.shape());
    let size = ConvSize { batch, side, channels, out_channels, kernel: [kh, kw], dilation, precision };
    let y = device.build([batch, side, side, out_channels], |y| {
        let bias = bias.as_ref().map(|b| device.view(b));
        device.conv2d(size, &device.view(&x), &device.view(&w), bias.as_ref(), relu, y)
    })?;
    if T::OWNS_TAPE {
        let output = Slot::of(&y);
        let rectified = relu.then(|| y.clone());
        match &bias {
            Some(bias) => {
                let inputs = [Slot::of(&x), Slot::of(&w), Slot::of(bias)];
                record(&mut tape, &device, inputs, output, move |d, gy, [gx, gw, gb]| {
                    let relu = rectified.as_ref().map(|y| d.view(y));
                    let gradients = (gx, gw, Some(gb));
                    d.conv2d_backward(size, &d.view(&x), &d.view(&w), relu.as_ref(), &gy, gradients)
                });
            }
            None => {
                let inputs = [Slot::of(&x), Slot::of(&w)];
                record(&mut tape, &device, inputs, output, move |d, gy, [gx, gw]| {
                    let relu = rectified.as_ref().map(|y| d.view(y));
                    let gradients = (gx, gw, None);
                    d.conv2d_backward(size, &d.view(&x), &d.view(&w), relu.as_ref(), &gy, gradients)
                });
            }
        }
    }
    Ok(y.put_tape(tape))
}
