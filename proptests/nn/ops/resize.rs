//! Logits at the image's side.

use super::super::{cases, device};
use super::twin::{Got, bilinear_twin, compare, got, map, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn resizing_to_the_image(batch in 1..3usize, h in 1..5usize, factor in 1..5usize, seed in 0..1000u64) {
        const K: usize = 2;
        let side = h * factor * 16;
        let inputs = [numbers(batch * h * h * K, seed)];
        let x = map::<Const<K>>(&inputs[0], batch, h);
        let probe = numbers(batch * K * side * side, seed + 1);
        let y = ops::resize::<usize, _, _, _, _, _>(x.leaky_trace(), side).unwrap();
        let got = got!(y, probe, [x]);
        compare(&got, &inputs, &probe, [2e-5, 1e-3], |v| {
            (0..batch * K * side * side).map(|i| {
                let (px, py, k, n) = (i % side, i / side % side, i / side / side % K, i / side / side / K);
                let source = |p: usize| ((p as f64 + 0.5) * h as f64 / side as f64 - 0.5).max(0.0);
                bilinear_twin(|y, x| v[0][((n * h + y) * h + x) * K + k], h, source(py), source(px))
            }).collect()
        });
    }
}
