//! Batch normalisation over rows of channels, with the statistics of the batch: the launches of `batch_norm.cu`.

use super::launch::{Kernels, Stream, args, kernels};
use super::memory::Scratch;
use super::part::{CHUNK, ColumnSums, Part, PartMut, over_rows};
use crate::nn::ops::batch_norm::EPSILON;
use dfdx::prelude::*;

const BATCH_NORM: Kernels = kernels!("batch_norm");

/// What the backward pass needs of each channel: mean, `1 / sqrt(variance + eps)` and that times the scale, `(3, c)` in
/// double precision.
pub type Saved = Scratch;

/// The mean of each channel.
pub fn channel_mean(stream: &Stream, x: Part<'_>, mean: PartMut<'_>) -> Result<(), CudaError> {
    let columns = ColumnSums { rows: x.len() / mean.len(), c: mean.len() };
    let (rows, c) = (columns.rows, columns.c as i32);
    assert!(rows * columns.c == x.len());
    let partial = columns.partial(stream, 1)?;
    // SAFETY: `x` has `rows` rows of `c` numbers, `mean` has `c`; `partial` has a double for every block of rows and
    // column.
    unsafe {
        columns.sum(stream, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(stream, "channel_mean_finish", args![columns.chunks(), c, rows, &partial, &mean])
    }
}

/// `y = x - mean`, row by row.
pub fn centre(stream: &Stream, x: Part<'_>, mean: Part<'_>, y: PartMut<'_>) -> Result<(), CudaError> {
    let (rows, c) = (x.len() / mean.len(), mean.len());
    assert!(rows * c == x.len() && y.len() == x.len());
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, `mean` has `c`.
    unsafe { over_rows(stream, rows, BATCH_NORM, "centre", args![rows, c as i32, x, mean, &y]) }
}

/// `y = (x - mean) / sqrt(variance + eps) scale + bias`, then a ReLU if asked for. The batch's mean and unbiased
/// variance are written out.
pub fn forward(
    stream: &Stream,
    x: Part<'_>,
    [scale, bias]: [Part<'_>; 2],
    relu: bool,
    y: PartMut<'_>,
    [mean_out, variance_out]: [PartMut<'_>; 2],
) -> Result<Saved, CudaError> {
    let columns = ColumnSums { rows: x.len() / bias.len(), c: bias.len() };
    let (rows, c, chunks) = (columns.rows, columns.c as i32, columns.chunks());
    assert!(rows * columns.c == x.len() && y.len() == x.len());
    assert!([scale.len(), mean_out.len(), variance_out.len()].iter().all(|len| *len == columns.c));
    let (partial, mean) = (columns.partial(stream, 1)?, stream.uninit(2 * columns.c)?);
    let saved = stream.uninit(2 * 3 * columns.c)?;
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, all that belongs to channels `c`, in double precision in
    // `mean` and, three times, in `saved`; `partial` has a double for every block of rows and column.
    unsafe {
        columns.sum(stream, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(stream, "mean_finish", args![chunks, c, rows, &partial, &mean])?;
        columns.sum(stream, "square_sums", args![CHUNK, rows, c, x, &mean, &partial])?;
        let args = args![chunks, c, rows, EPSILON, &mean, &partial, scale, &saved, &mean_out, &variance_out];
        columns.finish(stream, "moments_finish", args)?;
        let args = args![rows, c, x, &saved, bias, i32::from(relu), &y];
        over_rows(stream, rows, BATCH_NORM, "batch_norm", args)?;
    }
    Ok(saved)
}

/// Adds to the gradients of input, scale and bias; mean and variance are functions of the input.
pub fn backward(
    stream: &Stream,
    x: Part<'_>,
    bias: Part<'_>,
    relu: bool,
    saved: &Saved,
    gy: Part<'_>,
    [gx, g_scale, g_bias]: [PartMut<'_>; 3],
) -> Result<(), CudaError> {
    let columns = ColumnSums { rows: x.len() / bias.len(), c: bias.len() };
    let (rows, c, relu) = (columns.rows, columns.c as i32, i32::from(relu));
    assert!(rows * columns.c == x.len() && gy.len() == x.len() && gx.len() == x.len());
    assert!(g_scale.len() == columns.c && g_bias.len() == columns.c && saved.len() == 2 * 3 * columns.c);
    let (partial, means) = (columns.partial(stream, 2)?, stream.uninit(2 * 2 * columns.c)?);
    // SAFETY: `x`, `gy` and `gx` have `rows` rows of `c` numbers, all that belongs to channels `c`, in double precision three times
    // in `saved` and twice in `means`; `partial` has two doubles for every block of rows and column.
    unsafe {
        let args = args![CHUNK, rows, c, x, saved, bias, relu, gy, &partial];
        columns.sum(stream, "batch_norm_gradient_sums", args)?;
        let args = args![columns.chunks(), c, rows, &partial, saved, &g_scale, &g_bias, &means];
        columns.finish(stream, "batch_norm_gradient_finish", args)?;
        let args = args![rows, c, x, saved, bias, relu, &means, gy, &gx];
        over_rows(stream, rows, BATCH_NORM, "batch_norm_backward", args)
    }
}
