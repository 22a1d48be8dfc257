//! Sums with a ReLU.

use super::super::{cases, device};
use super::twin::{Got, compare, got, map, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn sum_with_relu(batch in 1..3usize, h in 1..8usize, seed in 0..1000u64) {
        const C: usize = 3;
        let n = batch * h * h * C;
        let inputs = [numbers(n, seed), numbers(n, seed + 1)];
        let [a, b] = [0, 1].map(|i: usize| map::<Const<C>>(&inputs[i], batch, h));
        let probe = numbers(n, seed + 9);
        let y = ops::add_relu(a.leaky_trace(), b.leaky_trace()).unwrap();
        let got = got!(y, probe, [a, b]);
        compare(&got, &inputs, &probe, [2e-5, 2e-3], |v| {
            v[0].iter().zip(&v[1]).map(|(a, b)| (a + b).max(0.0)).collect()
        });
    }
}
