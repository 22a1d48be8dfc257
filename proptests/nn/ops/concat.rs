//! Maps side by side.

use super::super::{Dev, cases, device};
use super::twin::{Got, Plane, compare, got, map, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn concatenation(batch in 1..3usize, h in 1..8usize, seed in 0..1000u64) {
        const C: usize = 3;
        let n = batch * h * h * C;
        let inputs: Vec<_> = (0..4).map(|i| numbers(n, seed + i)).collect();
        let maps = [0, 1, 2, 3].map(|i: usize| map::<Const<C>>(&inputs[i], batch, h));
        let probe = numbers(4 * n, seed + 9);
        let traced = maps.each_ref().map(|m| m.leaky_trace());
        let y: Tensor<Plane<Const<{ 4 * C }>>, f32, Dev, _> = ops::concat4(traced).unwrap();
        let got = got!(y, probe, [maps[0], maps[1], maps[2], maps[3]]);
        compare(&got, &inputs, &probe, [2e-5, 1e-4], |v| {
            (0..4 * n).map(|i| v[i / C % 4][i / (4 * C) * C + i % C]).collect()
        });
    }
}
