//! Batch normalisation over rows of channels, with the statistics of the batch.
//!
//! Computed in double precision and rounded once: gradients before a batch norm are small differences, and an
//! optimiser such as AdamW makes whole steps of their signs.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use super::vector::dispatch::vectorised;
use crate::kernels::batch_norm::BatchNormKernel;
use crate::kernels::batch_norm::EPSILON;
use crate::kernels::profile::{Kind, scope};
use crate::kernels::whole_batch::{WholeBatch, all_rows};
use rayon::prelude::*;
use std::convert::Infallible;

/// Rows summed by one task: a fixed number, so that the result does not depend on the number of threads.
const ROWS: usize = 1024;

/// `y = (x - mean) factor + bias`, then maybe a ReLU; each slice has a number per channel.
struct Affine<'a> {
    mean: &'a [f64],
    factor: &'a [f64],
    bias: &'a [f64],
    relu: bool,
}

vectorised! {
    fn add_rows(x: &[f32], sums: &mut [f64]) {
        for row in x.chunks_exact(sums.len()) {
            for (s, v) in sums.iter_mut().zip(row) {
                *s += f64::from(*v);
            }
        }
    }

    fn add_squares(x: &[f32], mean: &[f64], sums: &mut [f64]) {
        for row in x.chunks_exact(sums.len()) {
            for ((s, v), m) in sums.iter_mut().zip(row).zip(mean) {
                let d = f64::from(*v) - m;
                *s += d * d;
            }
        }
    }

    fn subtract(mean: &[f32], x: &mut [f32]) {
        for row in x.chunks_exact_mut(mean.len()) {
            for (x, m) in row.iter_mut().zip(mean) {
                *x -= m;
            }
        }
    }

    fn normalise(x: &[f32], a: &Affine<'_>, y: &mut [f32]) {
        let c = a.bias.len();
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            for ((((y, x), m), f), b) in y.iter_mut().zip(x).zip(a.mean).zip(a.factor).zip(a.bias) {
                let v = (f64::from(*x) - m) * f + b;
                *y = if a.relu && v < 0.0 { 0.0 } else { v as f32 };
            }
        }
    }

    /// Adds the sums of `g` and of `g (x - mean)`, where the ReLU let `g` through.
    fn add_gradients(x: &[f32], gy: &[f32], a: &Affine<'_>, sums: &mut [f64], dots: &mut [f64]) {
        let c = a.bias.len();
        let (mean, factor, bias) = (&a.mean[..c], &a.factor[..c], &a.bias[..c]);
        for (x, g) in x.chunks_exact(c).zip(gy.chunks_exact(c)) {
            for i in 0..c {
                let d = f64::from(x[i]) - mean[i];
                let g = if a.relu && d * factor[i] + bias[i] <= 0.0 { 0.0 } else { f64::from(g[i]) };
                sums[i] += g;
                dots[i] += g * d;
            }
        }
    }

    fn add_input_gradient(x: &[f32], gy: &[f32], a: &Affine<'_>, g_mean: &[f64], slope: &[f64], gx: &mut [f32]) {
        let c = a.bias.len();
        let (mean, factor, bias) = (&a.mean[..c], &a.factor[..c], &a.bias[..c]);
        for ((x, g), gx) in x.chunks_exact(c).zip(gy.chunks_exact(c)).zip(gx.chunks_exact_mut(c)) {
            for i in 0..c {
                let d = f64::from(x[i]) - mean[i];
                let g = if a.relu && d * factor[i] + bias[i] <= 0.0 { 0.0 } else { f64::from(g[i]) };
                gx[i] += (factor[i] * (g - g_mean[i] - d * slope[i])) as f32;
            }
        }
    }
}

/// Sums over blocks of rows; the blocks' sums are added in order.
fn blockwise(rows: usize, width: usize, add: impl Fn(std::ops::Range<usize>, &mut [f64]) + Sync) -> Vec<f64> {
    let blocks: Vec<Vec<f64>> = (0..rows.div_ceil(ROWS))
        .into_par_iter()
        .map(|i| {
            let mut sums = vec![0.0; width];
            add(i * ROWS..rows.min((i + 1) * ROWS), &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; width];
    for block in blocks {
        total.iter_mut().zip(block).for_each(|(t, b)| *t += b);
    }
    total
}

/// Rounds to single precision.
pub fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|v| *v as f32).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

fn divide(x: &mut [f64], rows: usize) {
    x.iter_mut().for_each(|v| *v /= rows as f64);
}

fn row_sums(x: &[f32], c: usize) -> Vec<f64> {
    blockwise(x.len() / c, c, |r, sums| add_rows(&x[r.start * c..r.end * c], sums))
}

/// Mean of each channel.
pub fn mean(x: &[f32], c: usize, whole: Option<&dyn WholeBatch>) -> Vec<f32> {
    let mut mean = row_sums(x, c);
    if let Some(whole) = whole {
        whole.sum(&mut mean);
    }
    divide(&mut mean, all_rows(whole, x.len() / c));
    narrow(&mean)
}

/// Mean and biased variance of each channel.
pub fn moments(x: &[f32], c: usize, whole: Option<&dyn WholeBatch>) -> [Vec<f64>; 2] {
    let rows = x.len() / c;
    let mut mean = row_sums(x, c);
    divide(&mut mean, rows);
    let mut variance = blockwise(rows, c, |r, sums| add_squares(&x[r.start * c..r.end * c], &mean, sums));
    if let Some(whole) = whole {
        whole.moments(rows, &mut mean, &mut variance);
    }
    divide(&mut variance, all_rows(whole, rows));
    [mean, variance]
}

/// `x -= mean`.
pub fn centre(x: &mut [f32], mean: &[f32]) {
    x.par_chunks_mut(ROWS * mean.len()).for_each(|x| subtract(mean, x));
}

fn inverse_deviation(variance: &[f64]) -> Vec<f64> {
    variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect()
}

fn factors(inverse: &[f64], scale: &[f32]) -> Vec<f64> {
    inverse.iter().zip(scale).map(|(i, s)| i * f64::from(*s)).collect()
}

/// `y = (x - mean) / sqrt(variance + eps) scale + bias`, then a ReLU if asked for.
pub fn forward(x: &[f32], [mean, variance]: &[Vec<f64>; 2], scale: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    let c = bias.len();
    let factor = factors(&inverse_deviation(variance), scale);
    let affine = Affine { mean, factor: &factor, bias: &wide(bias), relu };
    x.par_chunks(ROWS * c).zip(y.par_chunks_mut(ROWS * c)).for_each(|(x, y)| normalise(x, &affine, y));
}

/// Adds to the gradients of input, scale and bias; mean and variance are functions of the input. Scale's and bias's are of
/// these rows, the input's depends on those of the whole batch.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    x: &[f32],
    [mean, variance]: &[Vec<f64>; 2],
    scale: &[f32],
    bias: &[f32],
    relu: bool,
    whole: Option<&dyn WholeBatch>,
    gy: &[f32],
    [gx, g_scale, g_bias]: [&mut [f32]; 3],
) {
    let (c, rows) = (bias.len(), x.len() / bias.len());
    let inverse = inverse_deviation(variance);
    let factor = factors(&inverse, scale);
    let affine = Affine { mean, factor: &factor, bias: &wide(bias), relu };
    let mut both = blockwise(rows, 2 * c, |r, both| {
        let (sums, dots) = both.split_at_mut(c);
        let range = r.start * c..r.end * c;
        add_gradients(&x[range.clone()], &gy[range], &affine, sums, dots);
    });
    if let Some(whole) = whole.filter(|whole| !whole.counts()) {
        whole.sum(&mut both);
        return;
    }
    let (sums, dots) = both.split_at(c);
    for i in 0..c {
        g_bias[i] += sums[i] as f32;
        g_scale[i] += (dots[i] * inverse[i]) as f32;
    }
    if let Some(whole) = whole {
        whole.sum(&mut both);
    }
    let (sums, dots) = both.split_at(c);
    let n = all_rows(whole, rows) as f64;
    let g_mean: Vec<f64> = sums.iter().map(|s| s / n).collect();
    let slope: Vec<f64> = dots.iter().zip(&inverse).map(|(d, i)| d * i * i / n).collect();
    gx.par_chunks_mut(ROWS * c).zip(x.par_chunks(ROWS * c)).zip(gy.par_chunks(ROWS * c)).for_each(|((gx, x), gy)| {
        add_input_gradient(x, gy, &affine, &g_mean, &slope, gx);
    });
}

impl BatchNormKernel for Cpu {
    /// Mean and variance.
    type Saved = [Vec<f64>; 2];

    fn supports_parts(&self) -> bool {
        true
    }

    fn batch_norm(
        &self,
        x: &Buffer,
        scale: &Buffer,
        bias: &Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        y: &mut [f32],
        (mean_out, variance_out): (&mut [f32], &mut [f32]),
    ) -> Result<[Vec<f64>; 2], Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        let moments = moments(x, bias.len(), whole);
        forward(x, &moments, scale, bias, relu, y);
        let n = all_rows(whole, x.len() / bias.len()) as f64;
        let [mean, variance] = &moments;
        mean_out.copy_from_slice(&narrow(mean));
        for (out, v) in variance_out.iter_mut().zip(variance) {
            *out = (v * n / (n - 1.0)) as f32;
        }
        Ok(moments)
    }

    fn channel_mean(&self, x: &Buffer, channels: usize, whole: Option<&dyn WholeBatch>) -> Result<Buffer, Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        Ok(mean(x, channels, whole).into())
    }

    fn centred(&self, mut x: Buffer, mean: &Buffer) -> Result<Buffer, Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        centre(&mut x, mean);
        Ok(x)
    }

    fn batch_norm_backward(
        &self,
        x: &Buffer,
        scale: &Buffer,
        bias: &Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        moments: [Vec<f64>; 2],
        gy: &Buffer,
        (gx, g_scale, g_bias): (&mut [f32], &mut [f32], &mut [f32]),
    ) -> Done {
        let _work = scope(Kind::BatchNorm, 0);
        backward(x, &moments, scale, bias, relu, whole, gy, [gx, g_scale, g_bias]);
        Ok(())
    }
}
