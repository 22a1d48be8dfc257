//! Convolutions with a batch norm as one operation.

use super::super::{Dev, cases, device};
use super::conv2d::conv_twin;
use super::twin::{Got, compare, got, map, numbers, wide};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops::{self, ConvOptions};
use sam2unet::nn::{MemoryUse, Precision};

/// A 1x1 convolution with batch norm of a map whose mean dwarfs its spread: the two operations one after the other
/// would lose three digits here.
fn centred_conv_batch_norm_case(batch: usize, h: usize, relu: bool, memory: MemoryUse, seed: u64) {
    const C: usize = 5;
    const CO: usize = 6;
    let (device, rows) = (device(), batch * h * h);
    let far: Vec<f32> = numbers(rows * C, seed).iter().enumerate().map(|(i, v)| v + 3000.0 * (i % C) as f32).collect();
    let inputs = [far, numbers(CO * C, seed + 1), numbers(CO, seed + 2), numbers(CO, seed + 3)];
    let x = map::<Const<C>>(&inputs[0], batch, h);
    let w: Tensor<Rank4<CO, C, 1, 1>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
    let [scale, bias]: [Tensor<Rank1<CO>, f32, Dev>; 2] =
        [2, 3].map(|i: usize| device.tensor_from_vec(inputs[i].clone(), Default::default()));
    let probe = numbers(rows * CO, seed + 4);
    let options = ConvOptions { dilation: 1, relu, precision: Precision::F32, memory };
    let (y, [mean, variance]) = ops::conv_norm(x.leaky_trace(), &w, [&scale, &bias], options).unwrap();
    let got = got!(y, probe, [x, w, scale, bias]);
    let between = |x: &[f64], w: &[f64]| conv_twin(x, w, &[0.0; CO], [batch, h, C, CO, 1, 1, 1]);
    let moments = |u: &[f64], ch: usize| {
        let column: Vec<f64> = u.iter().skip(ch).step_by(CO).copied().collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        (mean, column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64)
    };
    let u = between(&wide(&inputs[0]), &wide(&inputs[1]));
    for (ch, (mean, variance)) in mean.as_vec().into_iter().zip(variance.as_vec()).enumerate() {
        let (m, v) = moments(&u, ch);
        // rounded where the terms of the sum are rounded, which may cancel
        let terms: f64 = (0..C).map(|i| f64::from(inputs[1][ch * C + i]).abs() * (3000 * i) as f64).sum();
        assert!((f64::from(mean) - m).abs() < 3e-7 * terms, "mean {mean}, twin {m}");
        let unbiased = v * rows as f64 / (rows - 1) as f64;
        assert!((f64::from(variance) / unbiased - 1.0).abs() < 1e-4, "variance {variance}, twin {unbiased}");
    }
    compare(&got, &inputs, &probe, [2e-5, 2e-3], |v| {
        let u = between(&v[0], &v[1]);
        let moments: Vec<_> = (0..CO).map(|ch| moments(&u, ch)).collect();
        let y = u.iter().enumerate().map(|(i, u)| {
            let ((m, s), ch) = (moments[i % CO], i % CO);
            (u - m) / (s + 1e-5).sqrt() * v[2][ch] + v[3][ch]
        });
        y.map(|y| if relu { y.max(0.0) } else { y }).collect()
    });
}

/// The plain twin is the two operations one after the other: not one bit may differ.
fn conv_batch_norm_twin<const KH: usize, const KW: usize>(
    batch: usize,
    h: usize,
    dilation: usize,
    relu: bool,
    seed: u64,
) {
    const C: usize = 5;
    const CO: usize = 6;
    let device = device();
    let x = map::<Const<C>>(&numbers(batch * h * h * C, seed), batch, h);
    let w = numbers(CO * C * KH * KW, seed + 1);
    let w: Tensor<Rank4<CO, C, KH, KW>, f32, Dev> = device.tensor_from_vec(w, Default::default());
    let [scale, bias]: [Tensor<Rank1<CO>, f32, Dev>; 2] =
        [2, 3].map(|i| device.tensor_from_vec(numbers(CO, seed + i), Default::default()));
    let probe = numbers(batch * h * h * CO, seed + 4);
    let got = |memory| {
        let options = ConvOptions { dilation, relu, precision: Precision::F32, memory };
        let (y, statistics) = ops::conv_norm(x.leaky_trace(), &w, [&scale, &bias], options).unwrap();
        (got!(y, probe, [x, w, scale, bias]), statistics.map(|s| s.as_vec()))
    };
    let want = {
        let u = ops::conv2d(x.leaky_trace(), &w, None, dilation, false, Precision::F32).unwrap();
        let (y, statistics) = ops::batch_norm(u, &scale, &bias, relu).unwrap();
        (got!(y, probe, [x, w, scale, bias]), statistics.map(|s| s.as_vec()))
    };
    for got in [MemoryUse::Small, MemoryUse::Balanced].map(got) {
        assert_eq!(got.1, want.1);
        assert_eq!(got.0.y, want.0.y);
        assert_eq!(got.0.gradients, want.0.gradients);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn convolution_with_batch_normalisation(
        batch in 1..3usize,
        h in 2..9usize,
        dilation in 1..4usize,
        wide: bool,
        relu: bool,
        seed in 0..1000u64,
    ) {
        if wide {
            conv_batch_norm_twin::<3, 1>(batch, h, dilation, relu, seed);
        } else {
            centred_conv_batch_norm_case(batch, h, relu, MemoryUse::Balanced, seed);
            centred_conv_batch_norm_case(batch, h, relu, MemoryUse::Small, seed);
        }
    }
}
