//! Softmax of rows of scores, and its gradient.

use super::bf16::round_bf16_steps;
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

/// The numerators of softmaxes of rows of `columns` scores, `e^(scale (s - max))` within 1e-4 of each, rounded to bf16; the inverse of
/// each row's sum, before rounding, goes to `inverse`. Row `r`'s lanes begin at `r * ROW_LANES`: sixteen of them for each 32 scores,
/// every `step` lanes, with zeros after the last. A score of minus infinity gives zero, or next to nothing.
pub fn softmax_exp_tiles(
    scores: &[f32],
    columns: usize,
    scale: f32,
    (lanes, step): (&mut [f32], usize),
    inverse: &mut [f32],
) {
    let rows = inverse.len();
    assert!(columns > 0 && rows.checked_mul(columns) == Some(scores.len()), "rows of scores");
    let steps = columns.div_ceil(2 * ROW_LANES);
    let needed = (steps - 1).checked_mul(step).and_then(|before| before.checked_add(rows * ROW_LANES));
    assert!(step >= rows * ROW_LANES, "steps of lanes apart from each other");
    assert!(needed.is_some_and(|needed| rows == 0 || lanes.len() >= needed), "room for the rows' lanes");
    #[cfg(target_arch = "x86_64")]
    if columns.is_multiple_of(ROW_LANES) && avx512::detected() {
        // SAFETY: the features have been detected; scores are so many rows of whole vectors, and there is room for the lanes of each
        // row's steps and for a number of each row.
        unsafe {
            avx512::exp_tiles(
                [rows, columns],
                scores.as_ptr(),
                scale,
                (lanes.as_mut_ptr(), step),
                inverse.as_mut_ptr(),
            );
        }
        return;
    }
    plain_exp_tiles(scores, columns, scale, (lanes, step), inverse);
}

/// Lanes of a row in a step.
const ROW_LANES: usize = 16;

/// The same by [`softmax_exp_row`].
fn plain_exp_tiles(
    scores: &[f32],
    columns: usize,
    scale: f32,
    (lanes, step): (&mut [f32], usize),
    inverse: &mut [f32],
) {
    for ((r, row), inverse) in scores.chunks_exact(columns).enumerate().zip(inverse) {
        let mut row = row.to_vec();
        *inverse = softmax_exp_row(&mut row, columns, scale, 1.0);
        round_bf16_steps(&row, &mut lanes[r * ROW_LANES..], step);
    }
}

/// Whole vectors of sixteen numbers. Sixteen rows' largest scores are found before any exponential, as are their sums after all: one
/// row's would wait for itself.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::ROW_LANES;
    use std::arch::x86_64::*;

    /// Whether this machine has them.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// `2^z` within 1e-4 of it, for `z` of at most 0; NaN stays NaN.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
    fn exp2(z: __m512) -> __m512 {
        // what is above the largest whole number, then the whole number
        let f = _mm512_reduce_ps::<1>(z);
        let p = _mm512_fmadd_ps(f, _mm512_set1_ps(7.802_349e-2), _mm512_set1_ps(2.260_678_2e-1));
        let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.958_337e-1));
        let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.999_251_5e-1));
        _mm512_scalef_ps(p, z)
    }

    /// Sixteen vectors folded to one, whose number `i` is made of all those of vector `i`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
    fn fold_each(a: [__m512; 16], f: impl Fn(__m512, __m512) -> __m512) -> __m512 {
        let zero = _mm512_setzero_ps();
        let (mut x, mut y, mut z) = ([zero; 8], [zero; 4], [zero; 2]);
        for i in 0..8 {
            let (a, b) = (a[i], a[i + 8]);
            x[i] = f(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        }
        for i in 0..4 {
            let (a, b) = (x[i], x[i + 4]);
            y[i] = f(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        }
        for i in 0..2 {
            let (a, b) = (_mm512_castps_pd(y[i]), _mm512_castps_pd(y[i + 2]));
            let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
            z[i] = f(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
        }
        let w = f(_mm512_shuffle_ps::<0x88>(z[0], z[1]), _mm512_shuffle_ps::<0xdd>(z[0], z[1]));
        // quarters hold vectors from 0, 8, 4 and 12 on, each its vectors 0, 2, 1, 3
        _mm512_permutexvar_ps(_mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15), w)
    }

    /// See [`softmax_exp_tiles`](super::softmax_exp_tiles).
    ///
    /// # Safety
    /// The machine has these features. There are `rows` rows of `columns` scores, a multiple of sixteen and not 0, room for `rows` numbers,
    /// and in each of the row's steps, `step` lanes apart, for sixteen lanes of each row.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
    pub unsafe fn exp_tiles(
        [rows, columns]: [usize; 2],
        scores: *const f32,
        scale: f32,
        (lanes, step): (*mut f32, usize),
        inverse: *mut f32,
    ) {
        let vectors = columns / 16;
        let factor = _mm512_set1_ps(scale * std::f32::consts::LOG2_E);
        let zero = _mm512_setzero_ps();
        for first in (0..rows).step_by(16) {
            let here = 16.min(rows - first);
            // SAFETY: rows from `first` on, `here` of them, are there, as are vectors and lanes of each; the caller's promise.
            unsafe {
                let row = |r: usize| scores.add((first + r) * columns);
                let mut largest = [zero; 16];
                for (r, largest) in largest.iter_mut().enumerate().take(here) {
                    let row = row(r);
                    *largest = _mm512_loadu_ps(row);
                    for j in 1..vectors {
                        *largest = _mm512_max_ps(*largest, _mm512_loadu_ps(row.add(16 * j)));
                    }
                }
                // (as many bits, any of which are numbers)
                let largest = fold_each(largest, |a, b| _mm512_max_ps(a, b));
                let largest = std::mem::transmute::<__m512, [f32; 16]>(largest);
                let mut sums = [zero; 16];
                for (r, sum) in sums.iter_mut().enumerate().take(here) {
                    let (row, largest) = (row(r), _mm512_set1_ps(largest[r]));
                    let to = lanes.add((first + r) * ROW_LANES);
                    let above = |j: usize| _mm512_sub_ps(_mm512_loadu_ps(row.add(16 * j)), largest);
                    let e = |j: usize| exp2(_mm512_mul_ps(above(j), factor));
                    for j in 0..vectors.div_ceil(2) {
                        let (low, high) = (e(2 * j), if 2 * j + 1 < vectors { e(2 * j + 1) } else { zero });
                        *sum = _mm512_add_ps(*sum, _mm512_add_ps(low, high));
                        let rounded = std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low));
                        _mm512_storeu_ps(to.add(j * step), rounded);
                    }
                }
                let all = _mm512_div_ps(_mm512_set1_ps(1.0), fold_each(sums, |a, b| _mm512_add_ps(a, b)));
                _mm512_mask_storeu_ps(inverse.add(first), ((1u32 << here) - 1) as __mmask16, all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors against the row at a time, for rows and columns of all kinds.
    #[test]
    fn numerators_in_tiles_are_those_of_rows() {
        for (rows, columns) in [(1usize, 16usize), (16, 16), (17, 48), (32, 64), (5, 80), (31, 496), (3, 20)] {
            let steps = columns.div_ceil(32);
            let step = 32 * ROW_LANES;
            let score = |i: usize| ((i * 37 % 101) as f32 - 50.0) * 0.3;
            let mut scores: Vec<f32> = (0..rows * columns).map(score).collect();
            // the last two of each row stand for nothing
            scores.chunks_exact_mut(columns).for_each(|row| row[columns - 2..].fill(f32::NEG_INFINITY));
            let lanes_of = |fast: bool| {
                // no lane more than is needed, and what is not written shows
                let (mut lanes, mut inverse) = (vec![f32::NAN; (steps - 1) * step + rows * ROW_LANES], vec![0.0; rows]);
                let to = (&mut lanes[..], step);
                match fast {
                    true => softmax_exp_tiles(&scores, columns, 0.12, to, &mut inverse),
                    false => plain_exp_tiles(&scores, columns, 0.12, to, &mut inverse),
                }
                let pair = |lane: f32| [lane.to_bits() << 16, lane.to_bits() & 0xffff_0000].map(f32::from_bits);
                for (i, lane) in lanes.iter().enumerate() {
                    assert_eq!(lane.is_nan(), i % step >= rows * ROW_LANES, "{rows} {columns}: lane {i}");
                }
                let written = lanes.into_iter().filter(|lane| !lane.is_nan());
                (written.flat_map(pair).collect::<Vec<_>>(), inverse)
            };
            let ((fast, inverse), (plain, plain_inverse)) = (lanes_of(true), lanes_of(false));
            for (i, (a, b)) in fast.iter().zip(&plain).enumerate() {
                // a unit in the last place of bf16
                assert!((a - b).abs() <= 0.0079 * b + 1e-30, "{rows} {columns}, number {i}: {a}, row by row {b}");
            }
            for (a, b) in inverse.iter().zip(&plain_inverse) {
                assert!((a / b - 1.0).abs() < 1e-4, "{rows} {columns}: {a}, row by row {b}");
            }
        }
        // a row without a score that is a number has no weights
        let (mut lanes, mut inverse) = (vec![0.0; 16], [0.0]);
        softmax_exp_tiles(&[f32::NEG_INFINITY; 16], 16, 1.0, (&mut lanes, 16), &mut inverse);
        assert!(inverse[0].is_nan());
        // what is no number spoils its own row alone
        for at in [0, 20, 47] {
            let mut spoilt = vec![0.5; 20 * 48];
            spoilt[18 * 48 + at] = f32::NAN;
            let (mut lanes, mut inverse) = (vec![0.0; 1024], [0.0; 20]);
            softmax_exp_tiles(&spoilt, 48, 1.0, (&mut lanes, 512), &mut inverse);
            assert!(inverse.iter().enumerate().all(|(r, inverse)| inverse.is_nan() == (r == 18)), "{inverse:?}");
        }
    }
}
