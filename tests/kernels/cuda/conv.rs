//! Convolutions, alone and with a batch norm.

use crate::support::case::{
    Case, Given, How, SINGLE, Traced, check, check_all, check_in, factors, given, map, numbers, weight,
};
use dfdx::prelude::*;
use sam2unet::nn::ops::{self, ConvOptions};
use sam2unet::nn::{Backend, MemoryUse, Precision};

struct Convolution<const C: usize, const CO: usize, const KH: usize, const KW: usize> {
    batch: usize,
    side: usize,
    dilation: usize,
    bias: bool,
    relu: bool,
    spoil: bool,
}

impl<const C: usize, const CO: usize, const KH: usize, const KW: usize> Case for Convolution<C, CO, KH, KW> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * C, 1);
        if self.spoil {
            values[3] = f32::NAN;
        }
        let x = map::<Const<C>, D>(device, how.factors(values), self.batch, self.side);
        let w = factors::<Rank4<CO, C, KH, KW>, D>(device, 2, 0.5, how);
        let b = weight::<Rank1<CO>, D>(device, 3, 0.5);
        let bias = self.bias.then_some(&b);
        let run =
            |x| -> Traced<Const<CO>, D> { ops::conv2d(x, &w, bias, self.dilation, self.relu, how.precision).unwrap() };
        if self.bias { given!(device, [x, w, b], run) } else { given!(device, [x, w], run) }
    }
}

fn convolution<const C: usize, const CO: usize, const KH: usize, const KW: usize>() {
    for (batch, side, dilation, bias, relu, spoil) in [
        (1, 1, 1, true, true, false),
        (2, 7, 1, false, false, false),
        (1, 11, 3, true, false, false),
        (3, 6, 7, false, true, false),
        (2, 9, 2, true, true, true),
    ] {
        check_all(&Convolution::<C, CO, KH, KW> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
    }
}

#[test]
fn convolutions_of_every_kernel() {
    convolution::<5, 3, 1, 1>();
    convolution::<3, 1, 1, 1>();
    convolution::<4, 6, 1, 7>();
    convolution::<7, 2, 5, 1>();
    convolution::<6, 5, 3, 3>();
    convolution::<40, 33, 3, 3>();
}

#[test]
fn convolutions_in_several_slices() {
    let case = |side| (1, side, 1, true, false, false);
    // what the taps see is more than is laid out at once, on the way forward or backward
    let (batch, side, dilation, bias, relu, spoil) = case(172);
    check_all(&Convolution::<64, 2, 3, 3> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
    check_all(&Convolution::<2, 64, 3, 3> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
}

/// Numbers around `offset`; a 1x1 kernel is given them centred.
struct ConvBatchNorm<const KH: usize> {
    batch: usize,
    side: usize,
    offset: f32,
    relu: bool,
}

impl<const KH: usize> Case for ConvBatchNorm<KH> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * 5, 1);
        values.iter_mut().for_each(|v| *v += self.offset);
        let x = map::<Const<5>, D>(device, values, self.batch, self.side);
        let w = weight::<Rank4<6, 5, KH, 1>, D>(device, 2, 0.5);
        let (scale, bias) = (weight::<Rank1<6>, D>(device, 3, 1.0), weight::<Rank1<6>, D>(device, 4, 1.0));
        // one size of each kernel computes again what lies between
        let memory = if self.batch == 1 { MemoryUse::Small } else { MemoryUse::default() };
        let options = ConvOptions { dilation: 2, relu: self.relu, precision: how.precision, memory };
        let run = |x| ops::conv_norm(x, &w, [&scale, &bias], options).unwrap();
        let [mean, variance] = run(x.leaky_trace()).1;
        let mut given = given!(device, [x, w, scale, bias], |x| run(x).0);
        given.push(("mean".into(), mean.as_vec()));
        given.push(("variance".into(), variance.as_vec()));
        given
    }
}

#[test]
fn convolution_and_batch_norm_as_one() {
    check(&ConvBatchNorm::<3> { batch: 2, side: 9, offset: 0.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<3> { batch: 1, side: 4, offset: 0.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<1> { batch: 2, side: 9, offset: 3000.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<1> { batch: 1, side: 5, offset: -300.0, relu: true }, 2e-5);
    // without a ReLU, which rounding switches; the gradient that comes to the convolution is rounded
    for (precision, tolerance) in [(Precision::Bf16, [1.5e-2, 4e-2]), (Precision::Tf32, [2e-3, 5e-3])] {
        let how = How { precision, ..SINGLE };
        check_in(&ConvBatchNorm::<3> { batch: 2, side: 9, offset: 0.0, relu: false }, [how, SINGLE], tolerance);
        check_in(&ConvBatchNorm::<1> { batch: 2, side: 9, offset: 3000.0, relu: false }, [how, SINGLE], tolerance);
    }
}
