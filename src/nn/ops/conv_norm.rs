//! A convolution and batch normalisation with the batch's statistics (training) as one operation: the convolution's output
//! is no tensor, is not copied and has no gradient on the tape.
//!
//! A 1x1 convolution is computed from `x - mean(x)`, the mean of the whole batch: the batch norm subtracts any constant again, and the
//! convolution's gradient sums to zero over the pixels, so that output and gradients are the same in exact arithmetic.
//! In single precision they are far more accurate where a map's mean is much larger than its spread, as in the trunk.

use super::batch_norm::check_values;
use super::tape::{Erased, GradientOf, erase, erase_map, record_backward, retype};
use crate::kernels::batch_norm::BatchNormKernel;
use crate::kernels::conv2d::{Conv2dKernel, ConvNormKernel, ConvSize};
use crate::kernels::device::Device as _;
use crate::kernels::extent::Extent;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::{Backend, BufferOf, KernelError};
use crate::nn::shape::Map;
use crate::nn::whole_batch::whole_batch;
use dfdx::prelude::*;

/// Options of a convolution with a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Distance between neighbouring taps, in pixels.
    pub dilation: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Precision in which the products are computed.
    pub precision: Precision,
    /// What training saves: with [`MemoryUse::Small`] the backward pass recomputes the convolution's output.
    pub memory: MemoryUse,
}

/// A convolution's weights with its norm folded in, as a device keeps them between inferences; see
/// [`ConvNormKernel::conv_norm`].
pub type FoldedOf<D> = <<D as Backend>::Kernels as ConvNormKernel>::Folded;

/// A batch norm of `C` channels with its running statistics, each `(C,)`.
#[derive(Debug)]
pub struct BatchNormRef<'a, C: ConstDim, D: Backend> {
    /// Factor (gamma).
    pub scale: &'a Tensor<(C,), f32, D>,
    /// Offset (beta).
    pub bias: &'a Tensor<(C,), f32, D>,
    /// Running mean.
    pub mean: &'a Tensor<(C,), f32, D>,
    /// Running variance.
    pub variance: &'a Tensor<(C,), f32, D>,
}

/// A convolution with its batch norm for inference: `C` to `CO` channels, `KH x KW` taps.
#[derive(Debug)]
pub struct ConvNormRef<'a, C: ConstDim, CO: ConstDim, KH: ConstDim, KW: ConstDim, D: Backend> {
    /// `(CO, C, KH, KW)`.
    pub weight: &'a Tensor<(CO, C, KH, KW), f32, D>,
    /// Its batch norm, with the running statistics.
    pub norm: BatchNormRef<'a, CO, D>,
    /// Where the device keeps the folded weights, if the weights no longer change.
    pub folded: Option<&'a FoldedOf<D>>,
    /// How it is computed.
    pub options: ConvOptions,
}

/// Scale and bias of a batch normalisation.
pub type NormRef<'a, C, D> = [&'a Tensor<(C,), f32, D>; 2];

/// [`conv2d`](super::conv2d::conv2d) without bias, then [`batch_norm`](super::batch_norm::batch_norm): the same function.
/// `(B, H, H, C)` to `(B, H, H, CO)`, and the batch's mean and unbiased variance `(CO,)`: the whole batch's, within
/// [`as_part_of`](crate::nn::as_part_of).
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the batch has only one value per channel, of which there is no
/// variance.
///
/// # Errors
/// When the device fails.
#[allow(clippy::type_complexity)]
pub fn conv_norm<B, H, C, CO, KH, KW, D, T>(
    x: Map<B, H, C, D, T>,
    weight: &Tensor<(CO, C, KH, KW), f32, D>,
    norm: NormRef<'_, CO, D>,
    options: ConvOptions,
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
    let (y, statistics) = erased(erase_map(x), erase(weight.clone()), norm.map(|n| erase(n.clone())), options)?;
    Ok((retype(y), statistics.map(retype)))
}

/// Where the backward pass reads the input from.
enum Input<D: Backend> {
    /// The tensor, and the channels' means that a 1x1 convolution subtracts.
    Tensor(Erased<4, D>, BufferOf<D>),
    /// The buffer that the convolution read.
    Buffer(BufferOf<D>),
}

#[allow(clippy::type_complexity)]
fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    w: Erased<4, D>,
    [scale, bias]: [Erased<1, D>; 2],
    ConvOptions { dilation, relu, precision, memory }: ConvOptions,
) -> Result<(Erased<4, D, T>, [Erased<1, D>; 2]), D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let whole = whole_batch();
    let part_of = whole.as_deref();
    check_values(*x.shape(), part_of);
    let device = x.device().clone();
    let ([batch, height, width, channels], [out_channels, _, kh, kw]) = (*x.shape(), *w.shape());
    let map = Extent::new(height, width);
    let size = ConvSize { batch, map, channels, out_channels, kernel: [kh, kw], dilation, precision };
    let shape = [batch, height, width, out_channels];
    let length = shape.into_iter().product();
    let views = (device.view(&w), device.view(&scale), device.view(&bias));
    let (d, (w_view, scale_view, bias_view)) = (&device, &views);
    let convolve = move |k: &D::Kernels, x: &BufferOf<D>, weight: &BufferOf<D>| {
        k.uninit(length, |y| k.conv2d(size, x, weight, None, false, y))
    };
    let (input, centre, convolved) = d.run(|k| {
        let mut input = d.view(&x);
        let centre = if kh * kw == 1 { Some(k.channel_mean(&input, channels, part_of)?) } else { None };
        if let Some(centre) = &centre {
            input = k.centred(input, centre)?;
        }
        let convolved = convolve(k, &input, w_view)?;
        Ok((input, centre, convolved))
    })?;
    let (y, (mean, (variance, saved))) = d.build_with(shape, |y| {
        d.build_with([out_channels], |mean| {
            d.build_with([out_channels], |variance| {
                d.run(|k| k.batch_norm(&convolved, scale_view, bias_view, relu, part_of, y, (mean, variance)))
            })
        })
    })?;
    let mean = match &centre {
        Some(centre) => {
            let pixel = ConvSize { batch: 1, map: Extent::square(1), precision: Precision::F32, ..size };
            mean.try_add(d.build([out_channels], |k, y| k.conv2d(pixel, centre, w_view, None, false, y))?)?
        }
        None => mean,
    };
    if T::OWNS_TAPE {
        let inputs =
            [GradientOf::tensor(&x), GradientOf::tensor(&w), GradientOf::tensor(&scale), GradientOf::tensor(&bias)];
        // A 1x1 convolution's input often has other readers, who keep the tensor alive anyway: it is read again. The
        // others' has none, and the buffer takes the tensor's place.
        let input = match centre {
            Some(centre) => Input::Tensor(x, centre),
            None => Input::Buffer(input),
        };
        let convolved = (memory != MemoryUse::Small).then_some(convolved);
        record_backward(
            &mut tape,
            &device,
            inputs,
            GradientOf::tensor(&y),
            move |d, k, gy, [gx, gw, g_scale, g_bias]| {
                let (w, scale, bias) = views;
                let read_input = || match input {
                    Input::Tensor(x, centre) => k.centred(d.view(&x), &centre),
                    Input::Buffer(input) => Ok(input),
                };
                let whole = whole.as_deref();
                let norm_backward = |convolved: &BufferOf<D>| -> Result<BufferOf<D>, KernelError<D>> {
                    k.zeros(length, |g| {
                        k.batch_norm_backward(convolved, &scale, &bias, relu, whole, saved, &gy, (g, g_scale, g_bias))
                    })
                };
                let (x, g_convolved) = match convolved {
                    Some(convolved) => {
                        let g_convolved = norm_backward(&convolved)?;
                        drop(convolved);
                        (read_input()?, g_convolved)
                    }
                    None => {
                        let x = read_input()?;
                        let g_convolved = norm_backward(&convolve(k, &x, &w)?)?;
                        (x, g_convolved)
                    }
                };
                drop(gy);
                k.conv2d_backward(size, &x, &w, None, &g_convolved, (gx, gw, None))
            },
        );
    }
    Ok((y.put_tape(tape), [mean, variance]))
}
