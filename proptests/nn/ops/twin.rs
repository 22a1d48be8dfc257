//! An operation against its plain twin in double precision: its values, and its gradients as differences of the twin
//! along random directions.

use super::super::{Dev, device};
use dfdx::prelude::*;
use sam2unet::nn::Precision;

/// Numbers in -1..1 from a seed.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    for _ in 0..8 {
        draw();
    }
    (0..n).map(|_| draw()).collect()
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

/// What the operation under test gave: values, and the gradient of `sum(values * probe)` for each input.
pub struct Got {
    pub y: Vec<f32>,
    pub gradients: Vec<Vec<f32>>,
}

/// Compares with the twin: values within the first bound of the largest, gradients within the second.
pub fn compare(
    got: &Got,
    inputs: &[Vec<f32>],
    probe: &[f32],
    [value_bound, gradient_bound]: [f64; 2],
    twin: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let wide_inputs: Vec<Vec<f64>> = inputs.iter().map(|x| wide(x)).collect();
    let want = twin(&wide_inputs);
    assert_eq!((got.y.len(), probe.len()), (want.len(), want.len()));
    assert_eq!(got.gradients.len(), inputs.len());
    let largest = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (i, (y, w)) in got.y.iter().zip(&want).enumerate() {
        assert!((f64::from(*y) - w).abs() < value_bound * largest, "value {i}: {y}, twin {w}");
    }
    let f = |x: &[Vec<f64>]| twin(x).iter().zip(probe).map(|(y, p)| y * f64::from(*p)).sum::<f64>();
    for (k, gradient) in got.gradients.iter().enumerate() {
        assert_eq!(gradient.len(), inputs[k].len());
        for trial in 0..3 {
            let direction = wide(&numbers(gradient.len(), 1000 + 10 * k as u64 + trial));
            let moved = |step: f64| {
                let mut x = wide_inputs.clone();
                x[k].iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
                f(&x)
            };
            let step = 1e-6;
            let want = (moved(step) - moved(-step)) / (2.0 * step);
            let terms: Vec<f64> = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).collect();
            let (sum, scale) = (terms.iter().sum::<f64>(), terms.iter().map(|t| t * t).sum::<f64>().sqrt());
            let bound = gradient_bound * (want.abs() + scale + 1e-3);
            assert!((sum - want).abs() < bound, "gradient of input {k}: {sum}, twin {want}");
        }
    }
}

/// What [`compare`] holds products of factors in this precision to. The twin's are not rounded: each of bf16's is by up
/// to 2^-9, and sums of such products differ by about a hundredth of the largest.
pub fn bounds(precision: Precision) -> [f64; 2] {
    match precision {
        Precision::F32 | Precision::Tf32 => [2e-5, 2e-3],
        // the twin rounds nothing: of 400 seeds of one small block the worst is 1.6e-2 and 5.3e-2 off (medians 5e-3 and
        // 3e-3), and another may be worse; a term left out shows as more than this
        Precision::Bf16 => [3e-2, 1e-1],
    }
}

pub type Plane<C> = (usize, usize, usize, C);

pub fn map<C: ConstDim>(values: &[f32], batch: usize, side: usize) -> Tensor<Plane<C>, f32, Dev> {
    device().tensor_from_vec(values.to_vec(), (batch, side, side, C::default()))
}

/// Runs the backward pass of `sum(y * probe)` and collects the inputs' gradients.
macro_rules! got {
    ($y:expr, $probe:expr, [$($x:expr),*]) => {{
        let y = $y;
        let shape = *y.shape();
        let values = { let mut v = vec![0.0; shape.num_elements()]; y.copy_into(&mut v); v };
        let probe = device().tensor_from_vec($probe.to_vec(), shape);
        let gradients = (y * probe).sum::<Rank0, _>().backward();
        Got { y: values, gradients: vec![$({
            let g = gradients.get(&$x);
            let mut v = vec![0.0; g.shape().num_elements()];
            g.copy_into(&mut v);
            v
        }),*] }
    }};
}

pub(crate) use got;

/// Bilinear interpolation of a square map `(h, h)` at a point.
pub fn bilinear_twin(at: impl Fn(usize, usize) -> f64, h: usize, y: f64, x: f64) -> f64 {
    let (y0, x0) = (y.floor().min((h - 1) as f64), x.floor().min((h - 1) as f64));
    let (fy, fx) = (y - y0, x - x0);
    let (y0, x0) = (y0 as usize, x0 as usize);
    let (y1, x1) = ((y0 + 1).min(h - 1), (x0 + 1).min(h - 1));
    (1.0 - fy) * ((1.0 - fx) * at(y0, x0) + fx * at(y0, x1)) + fy * ((1.0 - fx) * at(y1, x0) + fx * at(y1, x1))
}
