//! Operations on rows of numbers, element by element.

use super::dispatch::vectorised;
use super::fold::VECTOR;
use super::math::{gelu, gelu_slope};

/// Rows of `columns` numbers, each `stride` after the one before.
pub struct Rows<'a> {
    /// From the first row's first number to the last row's last.
    pub y: &'a mut [f32],
    /// From a row to the next.
    pub stride: usize,
    /// Numbers of a row that count.
    pub columns: usize,
}

/// `y = f(y)` for an `f` of many steps, a whole vector at a time also where a row is short.
#[inline(always)]
pub(super) fn map_row(y: &mut [f32], f: impl Fn(f32) -> f32) {
    let (vectors, rest) = y.as_chunks_mut::<VECTOR>();
    vectors.iter_mut().for_each(|y| *y = y.map(&f));
    rest.iter_mut().for_each(|y| *y = f(*y));
}

/// `y = f(y, x)`, likewise. (For an `f` of a step or two a plain loop is faster: here the compiler would work on sixteen
/// numbers at a time.)
#[inline(always)]
fn map_rows(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    let (vectors, rest) = y.as_chunks_mut::<VECTOR>();
    let (others, others_rest) = x[..vectors.len() * VECTOR + rest.len()].as_chunks::<VECTOR>();
    for (y, x) in vectors.iter_mut().zip(others) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = f(*y, *x);
        }
    }
    for (y, x) in rest.iter_mut().zip(others_rest) {
        *y = f(*y, *x);
    }
}

/// `y = f(y, x)`, element by element.
#[inline(always)]
pub(super) fn combine(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*y, *x);
    }
}

vectorised! {
    /// `y = max(y, 0)`.
    pub fn relu_rows(rows: Rows<'_>) {
        for row in rows.y.chunks_mut(rows.stride) {
            row[..rows.columns].iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    }

    /// `y = gelu(y)`.
    pub fn gelu_rows(rows: Rows<'_>) {
        for row in rows.y.chunks_mut(rows.stride) {
            map_row(&mut row[..rows.columns], gelu);
        }
    }

    /// `y += residual`, in the same layout.
    pub fn add_rows(rows: Rows<'_>, residual: &[f32]) {
        for (row, residual) in rows.y.chunks_mut(rows.stride).zip(residual.chunks(rows.stride)) {
            combine(&mut row[..rows.columns], residual, |y, r| y + r);
        }
    }

    /// `y = gelu(y) + residual`, in the same layout.
    pub fn gelu_add_rows(rows: Rows<'_>, residual: &[f32]) {
        for (row, residual) in rows.y.chunks_mut(rows.stride).zip(residual.chunks(rows.stride)) {
            map_rows(&mut row[..rows.columns], residual, |y, r| gelu(y) + r);
        }
    }

    /// The sum of four rows times a number each, in their order.
    pub fn weighted_sum(rows: [(&[f32], f32); 4], sum: &mut [f32]) {
        let n = sum.len();
        let [(a, wa), (b, wb), (c, wc), (d, wd)] = rows.map(|(row, weight)| (&row[..n], weight));
        for i in 0..n {
            sum[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
        }
    }

    /// The largest of four numbers, element by element, and which of the four it is: among equals the first, and a NaN,
    /// once met, stays.
    pub fn largest_of_four(four: [&[f32]; 4], largest: &mut [f32], which: &mut [u32]) {
        let n = largest.len();
        let ([a, b, c, d], which) = (four.map(|row| &row[..n]), &mut which[..n]);
        for i in 0..n {
            let (mut best, mut index) = (a[i], 0);
            for (v, at) in [(b[i], 1), (c[i], 2), (d[i], 3)] {
                // A NaN is neither larger nor smaller.
                let better = (v > best) | (v.is_nan() & !best.is_nan());
                best = if better { v } else { best };
                index = if better { at } else { index };
            }
            (largest[i], which[i]) = (best, index);
        }
    }

    /// `x = gelu(x)`.
    pub fn gelu_in_place(x: &mut [f32]) {
        map_row(x, gelu);
    }

    /// `g *= gelu'(x)`.
    pub fn gelu_backward(x: &[f32], g: &mut [f32]) {
        map_rows(g, x, |g, x| g * gelu_slope(x));
    }

    /// `y += x`.
    pub fn add_assign(y: &mut [f32], x: &[f32]) {
        combine(y, x, |y, x| y + x);
    }

    /// `y = max(a + b, 0)`.
    pub fn add_relu(a: &[f32], b: &[f32], y: &mut [f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            let v = a + b;
            *y = if v < 0.0 { 0.0 } else { v };
        }
    }

    /// `gx = gy` where the output `y` of a ReLU is above zero, else zero.
    pub fn relu_backward(y: &[f32], gy: &[f32], gx: &mut [f32]) {
        for ((gx, gy), y) in gx.iter_mut().zip(gy).zip(y) {
            *gx = if *y <= 0.0 { 0.0 } else { *gy };
        }
    }

    /// `to = from * factor`.
    pub fn scale_row(from: &[f32], factor: f32, to: &mut [f32]) {
        combine(to, from, |_, x| x * factor);
    }
}
