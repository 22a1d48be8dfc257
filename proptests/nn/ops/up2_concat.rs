//! Maps of twice the side beside a skip.

use super::super::{Dev, cases, device};
use super::twin::{Got, Plane, bilinear_twin, compare, got, map, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn doubling_beside_a_skip(batch in 1..3usize, half in 1..7usize, seed in 0..1000u64) {
        const C: usize = 3;
        let h = 2 * half;
        let inputs = [numbers(batch * h * h * C, seed), numbers(batch * half * half * C, seed + 1)];
        let skip = map::<Const<C>>(&inputs[0], batch, h);
        let deep = map::<Const<C>>(&inputs[1], batch, half);
        let probe = numbers(batch * h * h * 2 * C, seed + 2);
        let y: Tensor<Plane<Const<{ 2 * C }>>, f32, Dev, _> =
            ops::up2_concat(skip.leaky_trace(), deep.leaky_trace()).unwrap();
        let got = got!(y, probe, [skip, deep]);
        let scale = (half - 1) as f64 / (h - 1) as f64;
        compare(&got, &inputs, &probe, [2e-5, 1e-3], |v| {
            (0..batch * h * h * 2 * C).map(|i| {
                let (ch, px, py, n) = (i % (2 * C), i / (2 * C) % h, i / (2 * C) / h % h, i / (2 * C) / h / h);
                if ch < C {
                    v[0][((n * h + py) * h + px) * C + ch]
                } else {
                    let at = |y: usize, x: usize| v[1][((n * half + y) * half + x) * C + ch - C];
                    bilinear_twin(at, half, scale * py as f64, scale * px as f64)
                }
            }).collect()
        });
    }
}
