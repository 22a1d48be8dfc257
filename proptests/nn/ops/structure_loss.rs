//! The loss, and the weights of its pixels.

use super::super::{Dev, cases, device};
use super::twin::{Got, compare, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn loss(
        batch in 1..3usize,
        side in prop::sample::select(vec![32usize, 64]),
        script: bool,
        soft: bool,
        seed in 0..1000u64,
    ) {
        const K: usize = 2;
        let n = batch * K * side * side;
        let inputs = [numbers(n, seed).iter().map(|v| 6.0 * v).collect::<Vec<_>>()];
        let mask: Vec<f32> = (0..n)
            .map(|i| {
                let (x, y) = ((i % side) as f32, (i / side % side) as f32);
                let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 7.0 - (seed % 5) as f32) / 3.0;
                if soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
            })
            .collect();
        let shape = (batch, Const::<K>, side, side);
        let device = device();
        let x: Tensor<(usize, Const<K>, usize, usize), f32, Dev> = device.tensor_from_vec(inputs[0].clone(), shape);
        let truth = device.tensor_from_vec(mask.clone(), shape);
        let weights = ops::loss_weights(&truth).unwrap();
        let weight_twin: Vec<f64> = (0..n).map(|i| {
            let (px, py, plane) = ((i % side) as isize, (i / side % side) as isize, i / side / side * side * side);
            let mut sum = 0.0;
            for y in (py - 15).max(0)..(py + 16).min(side as isize) {
                for x in (px - 15).max(0)..(px + 16).min(side as isize) {
                    sum += f64::from(mask[plane + y as usize * side + x as usize]);
                }
            }
            1.0 + 5.0 * (sum / 961.0 - f64::from(mask[i])).abs()
        }).collect();
        prop_assert_eq!(weights.as_vec().len(), weight_twin.len());
        for (got, want) in weights.as_vec().iter().zip(&weight_twin) {
            prop_assert!((f64::from(*got) - want).abs() < 1e-5);
        }
        let cross_entropy = if script { ops::CrossEntropy::Plain } else { ops::CrossEntropy::Weighted };
        let y = ops::structure_loss(x.leaky_trace(), &truth, &weights, cross_entropy).unwrap();
        // no sum: dfdx cannot sum a single number on a GPU
        let values = y.as_vec();
        let got = Got { y: values, gradients: vec![y.backward().get(&x).as_vec()] };
        compare(&got, &inputs, &[1.0], [2e-5, 2e-3], |v| {
            let pixels = side * side;
            let mut total = 0.0;
            for plane in 0..batch * K {
                let range = plane * pixels..(plane + 1) * pixels;
                let (mut sw, mut se, mut si, mut st) = (0.0, 0.0, 0.0, 0.0);
                for i in range {
                    let (x, m, w) = (v[0][i], f64::from(mask[i]), weight_twin[i]);
                    let p = 1.0 / (1.0 + (-x).exp());
                    let e = -(m * p.ln() + (1.0 - m) * (1.0 - p).ln());
                    sw += w;
                    se += if script { e } else { w * e };
                    si += w * p * m;
                    st += w * (p + m);
                }
                total += se / if script { pixels as f64 } else { sw } + 1.0 - (si + 1.0) / (st - si + 1.0);
            }
            vec![total / (batch * K) as f64]
        });
    }
}
