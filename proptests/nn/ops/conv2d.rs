//! Convolutions.

use super::super::{Dev, cases, device};
use super::twin::{Got, Plane, bounds, compare, got, map, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;
use sam2unet::nn::{Backend, Precision};

/// Direct convolution, weight `(co, c, kh, kw)`.
pub fn conv_twin(x: &[f64], w: &[f64], b: &[f64], [batch, h, c, co, kh, kw, d]: [usize; 7]) -> Vec<f64> {
    let mut y = vec![0.0; batch * h * h * co];
    for (i, y) in y.iter_mut().enumerate() {
        let (o, px, py, n) = (i % co, i / co % h, i / co / h % h, i / co / h / h);
        *y = b[o];
        for ky in 0..kh {
            for kx in 0..kw {
                let yy = (py + d * ky).wrapping_sub(d * (kh / 2));
                let xx = (px + d * kx).wrapping_sub(d * (kw / 2));
                if yy < h && xx < h {
                    for ch in 0..c {
                        *y += x[((n * h + yy) * h + xx) * c + ch] * w[((o * c + ch) * kh + ky) * kw + kx];
                    }
                }
            }
        }
    }
    y
}

fn conv_case<const KH: usize, const KW: usize>(
    batch: usize,
    h: usize,
    dilation: usize,
    relu: bool,
    precision: Precision,
    seed: u64,
) {
    const C: usize = 5;
    const CO: usize = 3;
    let inputs = [numbers(batch * h * h * C, seed), numbers(CO * C * KH * KW, seed + 1), numbers(CO, seed + 2)];
    let device = device();
    let x = map::<Const<C>>(&inputs[0], batch, h);
    let w: Tensor<Rank4<CO, C, KH, KW>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
    let b: Tensor<Rank1<CO>, f32, Dev> = device.tensor_from_vec(inputs[2].clone(), Default::default());
    let mut probe = numbers(batch * h * h * CO, seed + 3);
    if relu {
        // rounding may carry an output across zero, where it has another gradient
        let [x, w, b] = inputs.each_ref().map(|numbers| numbers.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let sums = conv_twin(&x, &w, &b, [batch, h, C, CO, KH, KW, dilation]);
        let largest = sums.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
        let near = bounds(device.computes_in(precision))[0] * largest;
        probe.iter_mut().zip(&sums).filter(|(_, sum)| sum.abs() < near).for_each(|(p, _)| *p = 0.0);
    }
    let y: Tensor<Plane<Const<CO>>, f32, Dev, _> =
        ops::conv2d(x.leaky_trace(), &w, Some(&b), dilation, relu, precision).unwrap();
    let got = got!(y, probe, [x, w, b]);
    compare(&got, &inputs, &probe, bounds(device.computes_in(precision)), |v| {
        let mut y = conv_twin(&v[0], &v[1], &v[2], [batch, h, C, CO, KH, KW, dilation]);
        if relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        y
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn convolution(batch in 1..3usize, h in 1..11usize, dilation in 1..4usize, relu: bool, seed in 0..1000u64) {
        conv_case::<1, 1>(batch, h, 1, relu, Precision::F32, seed);
        conv_case::<1, 5>(batch, h, dilation, relu, Precision::F32, seed);
        conv_case::<3, 1>(batch, h, dilation, relu, Precision::F32, seed);
        conv_case::<3, 3>(batch, h, dilation, relu, Precision::F32, seed);
        // without ReLU, whose gradient jumps where rounding moves a number past zero
        conv_case::<1, 1>(batch, h, 1, false, Precision::Bf16, seed);
        conv_case::<3, 3>(batch, h, dilation, false, Precision::Bf16, seed);
    }
}
