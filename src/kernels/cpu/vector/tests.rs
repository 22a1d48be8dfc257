//! Tests of the functions in this folder.

use super::bf16::{round_bf16_in_place, round_bf16_pair, round_bf16_rows};
use super::math::{exp, exp_of_negative, gelu, gelu_slope, ln, sigmoid, softplus, tails};
use super::rows::{Rows, largest_of_four, relu_rows};
use super::softmax::{softmax_backward_row, softmax_exp_row};
use super::transpose::transpose_into;

fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
    (0..=20_000).map(move |i| from + (to - from) * i as f32 / 20_000.0)
}

/// Abramowitz and Stegun 7.1.5 (series) and 7.1.14 (continued fraction), in double precision.
pub fn erf_f64(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let mut f = x.abs();
        for n in (1..100).rev() {
            f = x.abs() + n as f64 / 2.0 / f;
        }
        x.signum() * (1.0 - (-x * x).exp() / f / std::f64::consts::PI.sqrt())
    }
}

#[test]
fn elementary_functions_are_within_rounding() {
    for x in grid(-87.0, 88.0) {
        let want = (x as f64).exp();
        assert!((exp(x) as f64 / want - 1.0).abs() < 3e-7, "exp {x}");
    }
    for x in grid(-86.5, 0.0) {
        let error = (exp_of_negative(x) as f64 / (x as f64).exp() - 1.0).abs();
        assert!(error < 1.5e-7 + 2e-8 * f64::from(x.abs()), "exp_of_negative {x}: {error}");
    }
    for x in grid(1.0, 2.0) {
        assert!((ln(x) as f64 - (x as f64).ln()).abs() < 1.2e-7, "ln {x}");
    }
    for x in grid(-6.0, 6.0) {
        let (v, w) = (x as f64, erf_f64(x as f64 / std::f64::consts::SQRT_2));
        assert!((tails(x).0 as f64 - (1.0 - w.abs())).abs() < 1.5e-7, "tails {x}");
        assert!((gelu(x) as f64 - 0.5 * v * (1.0 + w)).abs() < 4e-7 * (1.0 + v.abs()), "gelu {x}");
        let slope = 0.5 * (1.0 + w) + v * (-0.5 * v * v).exp() / (2.0 * std::f64::consts::PI).sqrt();
        assert!((gelu_slope(x) as f64 - slope).abs() < 3e-7, "slope {x}");
        assert!((softplus(x) as f64 - v.exp().ln_1p()).abs() < 5e-7, "softplus {x}");
    }
}

#[test]
fn bf16_is_rounded_as_the_crate_half_rounds() {
    let mut x: Vec<f32> = grid(-3.0, 5.0).chain([f32::INFINITY, -0.0, 1e-40, f32::MAX]).collect();
    x.push(f32::from_bits(0x3f80_8000)); // a tie, to even
    x.push(f32::from_bits(0x3f81_8000)); // and up
    x.push(f32::NAN);
    let wanted: Vec<u16> = x.iter().map(|v| half::bf16::from_f32(*v).to_bits()).collect();
    for columns in [1, 2, 3, 8, x.len()] {
        let whole = x.len() / columns * columns;
        let mut lanes = vec![0.0; whole / columns * columns.div_ceil(2)];
        round_bf16_rows(&x[..whole], columns, &mut lanes);
        for (i, wanted) in wanted[..whole].iter().enumerate() {
            let lane = lanes[i / columns * columns.div_ceil(2) + i % columns / 2].to_bits();
            let found = if i % columns % 2 == 0 { lane as u16 } else { (lane >> 16) as u16 };
            let zero = half::bf16::from_bits(*wanted).to_f32().is_subnormal() && found & 0x7fff == 0;
            assert!(found == *wanted || zero, "{}: {found} for {wanted}", x[i]);
        }
    }
    for length in [1_usize, 2, 31, 32, 33, 70] {
        let mut wanted = vec![0.0; length.div_ceil(2)];
        round_bf16_rows(&x[..length], length, &mut wanted);
        let mut row = x[..length].to_vec();
        round_bf16_in_place(&mut row);
        let bits = |lanes: &[f32]| lanes.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&row[..wanted.len()]), bits(&wanted), "in place");
    }
    let mut lanes = vec![0.0; 3];
    round_bf16_pair(&[1.0, 2.0, 3.0], &[-1.0, 0.5, f32::NAN], &mut lanes);
    let bits = |v: f32| u32::from(half::bf16::from_f32(v).to_bits());
    let wanted = [(1.0, -1.0), (2.0, 0.5), (3.0, f32::NAN)].map(|(a, b)| bits(a) | bits(b) << 16);
    assert_eq!(lanes.iter().map(|w| w.to_bits()).collect::<Vec<_>>(), wanted);
}

#[test]
fn columns_of_any_length_become_rows() {
    for n in [1, 7, 8, 9, 36, 41] {
        let columns: Vec<f32> = (0..8 * n).map(|v| v as f32).collect();
        let (at, width) = (3, 13);
        let mut rows = vec![-1.0; n * width];
        transpose_into(std::array::from_fn(|i| &columns[i * n..][..n]), at, width, &mut rows);
        for (i, v) in rows.iter().enumerate() {
            let wanted = match (i % width).checked_sub(at) {
                Some(column) if column < 8 => columns[column * n + i / width],
                _ => -1.0,
            };
            assert_eq!(*v, wanted, "{n}, number {i}");
        }
    }
}

#[test]
fn weights_of_a_row_are_a_softmax_and_its_gradient() {
    for (count, room, last) in [(1, 1, 1.0), (5, 16, 3.0), (37, 48, 1.0), (64, 64, 2.0), (70, 75, 9.0)] {
        let scores: Vec<f32> = (0..room).map(|i| (i * 7919 % 100) as f32 / 10.0 - 4.0).collect();
        let e: Vec<f64> = (0..count)
            .map(|i| (0.5 * f64::from(scores[i])).exp() * if i + 1 == count { f64::from(last) } else { 1.0 })
            .collect();
        let total: f64 = e.iter().sum();
        let mut row = scores.clone();
        let factor = softmax_exp_row(&mut row, count, 0.5, last);
        for (i, v) in row.iter().enumerate() {
            let wanted = e.get(i).map_or(0.0, |e| e / total);
            assert!((f64::from(v * factor) - wanted).abs() < 1e-6, "{count} of {room}: {i}");
        }
        let g: Vec<f32> = scores.iter().rev().copied().collect();
        let mean: f64 = e.iter().zip(&g).map(|(e, g)| e / total * f64::from(*g)).sum();
        let mut gradient = g.clone();
        softmax_backward_row(&row, factor, 0.5, &mut gradient);
        for (i, v) in gradient.iter().enumerate() {
            let wanted = e.get(i).map_or(0.0, |e| 0.5 * e / total * (f64::from(g[i]) - mean));
            assert!((f64::from(*v) - wanted).abs() < 2e-6, "{count} of {room}: gradient {i}");
        }
    }
}

#[test]
fn the_largest_of_four_is_the_first_among_equals() {
    let nan = f32::NAN;
    let four = [
        [1.0, 2.0, nan, 0.0, -1.0],
        [3.0, 2.0, 1.0, nan, -0.5],
        [2.0, 1.0, 9.0, nan, -2.0],
        [3.0, 2.5, nan, 5.0, -0.5],
    ];
    let (mut largest, mut which) = ([0.0; 5], [9; 5]);
    largest_of_four(four.each_ref().map(|row| row.as_slice()), &mut largest, &mut which);
    assert_eq!(which, [1, 3, 0, 1, 1]);
    assert_eq!((largest[0], largest[1], largest[4]), (3.0, 2.5, -0.5));
    assert!(largest[2].is_nan() && largest[3].is_nan());
}

#[test]
fn nan_stays_nan() {
    for f in [exp, exp_of_negative, gelu, gelu_slope, sigmoid, softplus] {
        assert!(f(f32::NAN).is_nan());
    }
    let mut row = vec![1.0; 70];
    row[40] = f32::NAN;
    let factor = softmax_exp_row(&mut row, 70, 1.0, 1.0);
    assert!(factor.is_nan());
    let mut y = [f32::NAN];
    relu_rows(Rows { y: &mut y, stride: 1, columns: 1 });
    assert!(y[0].is_nan());
}
