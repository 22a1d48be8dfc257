//! Softmax of one row of scores, and its gradient.

use super::dispatch::vectorised;
use super::fold::fold;
use super::math::exp_of_negative;
use super::rows::{combine, map_row};

vectorised! {
    /// The numerator of a softmax: makes `e^(scale (s - max))` of the first `count` numbers `s` of a row, and gives the inverse
    /// of their sum. A softmax weight is an exponential times this inverse; the caller multiplies when it is cheapest
    /// ([`scale_row`](super::rows::scale_row)).
    ///
    /// The last of the `count` scores stands for `last` equal ones, so its exponential is multiplied by `last`. What follows the
    /// `count` scores is padding of the row, and becomes `e^-86.6`, next to nothing.
    pub fn softmax_exp_row(row: &mut [f32], count: usize, scale: f32, last: f32) -> f32 {
        row[count..].fill(f32::NEG_INFINITY);
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let max = fold::<32>([row, row], f32::NEG_INFINITY, |max, v, _| larger(max, v), larger);
        map_row(row, |v| exp_of_negative((v - max) * scale));
        let once = fold::<32>([row, row], 0.0, |sum, v, _| sum + v, |a, b| a + b);
        let sum = once + row[count - 1] * (last - 1.0);
        row[count - 1] *= last;
        1.0 / sum
    }

    /// Gradient of the softmax of a scaled row, in the place of the gradient `g` of its weights:
    /// `g = scale p (g - sum_j p_j g_j)`. The weights are `p = exponentials * inverse`, as [`softmax_exp_row`] gives the two.
    pub fn softmax_backward_row(exponentials: &[f32], inverse: f32, scale: f32, g: &mut [f32]) {
        let d = inverse * fold::<64>([exponentials, g], 0.0, |sum, e, g| e.mul_add(g, sum), |a, b| a + b);
        let scale = inverse * scale;
        combine(g, exponentials, |g, e| e * (g - d) * scale);
    }
}
