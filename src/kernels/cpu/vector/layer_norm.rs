//! Layer normalisation of rows, forward and backward.

use super::dispatch::vectorised;
use super::fold::{fold, sum};

vectorised! {
    /// Layer normalisation of rows of `gamma.len()` numbers: `y = (x - mean) / sqrt(var + 1e-6) gamma + beta`.
    pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) {
        let n = gamma.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (mean, inverse) = moments(x);
            for (((y, x), g), b) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = ((x - mean) * inverse).mul_add(*g, *b);
            }
        }
    }

    /// Gradient of [`layer_norm`] with respect to its input, in place of the gradient of its output.
    pub fn layer_norm_backward(x: &[f32], gamma: &[f32], g: &mut [f32]) {
        let n = gamma.len();
        for (x, g) in x.chunks_exact(n).zip(g.chunks_exact_mut(n)) {
            let (mean, inverse) = moments(x);
            for (g, gamma) in g.iter_mut().zip(gamma) {
                *g *= gamma;
            }
            let mean_g = sum(g) / n as f32;
            let dot = fold::<64>([x, g], 0.0, |sum, x, g| (x - mean).mul_add(g, sum), |a, b| a + b);
            let slope = dot * inverse * inverse / n as f32;
            for (g, x) in g.iter_mut().zip(x) {
                *g = inverse * (*g - mean_g - (x - mean) * slope);
            }
        }
    }
}

/// Mean and `1 / sqrt(variance + 1e-6)` of a row (Hiera's epsilon).
#[inline(always)]
fn moments(x: &[f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    let squares = fold::<64>([x, x], 0.0, |sum, x, _| (x - mean).mul_add(x - mean, sum), |a, b| a + b);
    (mean, 1.0 / (squares / n + 1e-6).sqrt())
}
