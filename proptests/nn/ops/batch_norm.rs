//! Batch norms in training.

use super::super::{Dev, cases, device};
use super::twin::{Got, compare, got, map, numbers, wide};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn batch_normalisation(batch in 1..3usize, h in 2..9usize, relu: bool, seed in 0..1000u64) {
        const C: usize = 6;
        let rows = batch * h * h;
        let inputs = [numbers(rows * C, seed), numbers(C, seed + 1), numbers(C, seed + 2)];
        let device = device();
        let x = map::<Const<C>>(&inputs[0], batch, h);
        let scale: Tensor<Rank1<C>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
        let bias: Tensor<Rank1<C>, f32, Dev> = device.tensor_from_vec(inputs[2].clone(), Default::default());
        let probe = numbers(rows * C, seed + 3);
        let (y, [mean, variance]) = ops::batch_norm(x.leaky_trace(), &scale, &bias, relu).unwrap();
        let got = got!(y, probe, [x, scale, bias]);
        let moments = |x: &[f64], ch: usize| {
            let column: Vec<f64> = x.iter().skip(ch).step_by(C).copied().collect();
            let mean = column.iter().sum::<f64>() / rows as f64;
            (mean, column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64)
        };
        for ch in 0..C {
            let (m, v) = moments(&wide(&inputs[0]), ch);
            prop_assert!((f64::from(mean.as_vec()[ch]) - m).abs() < 1e-6);
            let unbiased = v * rows as f64 / (rows - 1) as f64;
            prop_assert!((f64::from(variance.as_vec()[ch]) - unbiased).abs() < 1e-6);
        }
        compare(&got, &inputs, &probe, [2e-5, 2e-3], |v| {
            let moments: Vec<_> = (0..C).map(|ch| moments(&v[0], ch)).collect();
            let y = v[0].iter().enumerate().map(|(i, x)| {
                let ((m, s), ch) = (moments[i % C], i % C);
                (x - m) / (s + 1e-5).sqrt() * v[1][ch] + v[2][ch]
            });
            y.map(|y| if relu { y.max(0.0) } else { y }).collect()
        });
    }
}
