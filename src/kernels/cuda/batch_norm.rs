//! Batch normalisation over rows of channels, with the statistics of the batch: the launches of `batch_norm.cu`.

use super::buffer::{Buffer, Scratch};
use super::columns::{CHUNK, ColumnSums};
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Kernels, args, kernels};
use super::rows::over_rows;
use super::view::{Slice, SliceMut};
use crate::kernels::batch_norm::{BatchNormKernel, EPSILON};
use crate::kernels::device::Device;
use crate::kernels::whole_batch::WholeBatch;

const BATCH_NORM: Kernels = kernels!("batch_norm");

/// What the backward pass needs of each channel: mean, `1 / sqrt(variance + eps)` and that times the scale, `(3, c)` in
/// double precision.
pub type Saved = Scratch;

impl BatchNormKernel for Gpu {
    type Saved = Saved;

    fn supports_parts(&self) -> bool {
        false
    }

    fn batch_norm(
        &self,
        x: &Buffer,
        scale: &Buffer,
        bias: &Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        y: SliceMut<'_>,
        (mean, variance): (SliceMut<'_>, SliceMut<'_>),
    ) -> Result<Saved, GpuError> {
        check_undivided(whole)?;
        let affine = [scale, bias].map(Slice::from);
        forward(self, x.into(), affine, relu, y, [mean, variance])
    }

    fn channel_mean(&self, x: &Buffer, channels: usize, whole: Option<&dyn WholeBatch>) -> Result<Buffer, GpuError> {
        check_undivided(whole)?;
        self.uninit(channels, |mean| channel_mean(self, x.into(), mean))
    }

    fn centred(&self, x: Buffer, mean: &Buffer) -> Result<Buffer, GpuError> {
        self.uninit(x.len(), |y| centre(self, (&x).into(), mean.into(), y))
    }

    fn batch_norm_backward(
        &self,
        x: &Buffer,
        _scale: &Buffer,
        bias: &Buffer,
        relu: bool,
        whole: Option<&dyn WholeBatch>,
        saved: Saved,
        gy: &Buffer,
        (gx, g_scale, g_bias): (SliceMut<'_>, SliceMut<'_>, SliceMut<'_>),
    ) -> Result<(), GpuError> {
        check_undivided(whole)?;
        let gradients = [gx, g_scale, g_bias];
        backward(self, x.into(), bias.into(), relu, &saved, gy.into(), gradients)
    }
}

/// Refuses a batch of which this process holds only a part: sums would have to leave the card within a pass.
fn check_undivided(whole: Option<&dyn WholeBatch>) -> Result<(), GpuError> {
    whole.map_or(Ok(()), |_| Err(GpuError::PART_OF_A_BATCH))
}

/// The mean of each channel.
fn channel_mean(gpu: &Gpu, x: Slice<'_>, mean: SliceMut<'_>) -> Result<(), GpuError> {
    let columns = ColumnSums { rows: x.len() / mean.len(), c: mean.len() };
    let (rows, c) = (columns.rows, columns.c as i32);
    assert!(rows * columns.c == x.len());
    let partial = columns.partial(gpu, 1)?;
    // SAFETY: `x` has `rows` rows of `c` numbers, `mean` has `c`; `partial` has a double for every block of rows and
    // column.
    unsafe {
        columns.sum(gpu, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(gpu, "channel_mean_finish", args![columns.chunks(), c, rows, &partial, &mean])
    }
}

/// `y = x - mean`, row by row.
fn centre(gpu: &Gpu, x: Slice<'_>, mean: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
    let (rows, c) = (x.len() / mean.len(), mean.len());
    assert!(rows * c == x.len() && y.len() == x.len());
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, `mean` has `c`.
    unsafe { over_rows(gpu, rows, BATCH_NORM, "centre", args![rows, c as i32, x, mean, &y]) }
}

/// `y = (x - mean) / sqrt(variance + eps) scale + bias`, then a ReLU if asked for. The batch's mean and unbiased
/// variance are written out.
fn forward(
    gpu: &Gpu,
    x: Slice<'_>,
    [scale, bias]: [Slice<'_>; 2],
    relu: bool,
    y: SliceMut<'_>,
    [mean_out, variance_out]: [SliceMut<'_>; 2],
) -> Result<Saved, GpuError> {
    let columns = ColumnSums { rows: x.len() / bias.len(), c: bias.len() };
    let (rows, c, chunks) = (columns.rows, columns.c as i32, columns.chunks());
    assert!(rows * columns.c == x.len() && y.len() == x.len());
    assert!([scale.len(), mean_out.len(), variance_out.len()].iter().all(|len| *len == columns.c));
    let (partial, mean) = (columns.partial(gpu, 1)?, gpu.scratch(2 * columns.c)?);
    let saved = gpu.scratch(2 * 3 * columns.c)?;
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, all that belongs to channels `c`, in double precision in
    // `mean` and, three times, in `saved`; `partial` has a double for every block of rows and column.
    unsafe {
        columns.sum(gpu, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(gpu, "mean_finish", args![chunks, c, rows, &partial, &mean])?;
        columns.sum(gpu, "square_sums", args![CHUNK, rows, c, x, &mean, &partial])?;
        let args = args![chunks, c, rows, EPSILON, &mean, &partial, scale, &saved, &mean_out, &variance_out];
        columns.finish(gpu, "moments_finish", args)?;
        let args = args![rows, c, x, &saved, bias, i32::from(relu), &y];
        over_rows(gpu, rows, BATCH_NORM, "batch_norm", args)?;
    }
    Ok(saved)
}

/// Adds to the gradients of input, scale and bias; mean and variance are functions of the input.
fn backward(
    gpu: &Gpu,
    x: Slice<'_>,
    bias: Slice<'_>,
    relu: bool,
    saved: &Saved,
    gy: Slice<'_>,
    [gx, g_scale, g_bias]: [SliceMut<'_>; 3],
) -> Result<(), GpuError> {
    let columns = ColumnSums { rows: x.len() / bias.len(), c: bias.len() };
    let (rows, c, relu) = (columns.rows, columns.c as i32, i32::from(relu));
    assert!(rows * columns.c == x.len() && gy.len() == x.len() && gx.len() == x.len());
    assert!(g_scale.len() == columns.c && g_bias.len() == columns.c && saved.len() == 2 * 3 * columns.c);
    let (partial, means) = (columns.partial(gpu, 2)?, gpu.scratch(2 * 2 * columns.c)?);
    // SAFETY: `x`, `gy` and `gx` have `rows` rows of `c` numbers, all that belongs to channels `c`, in double precision three
    // times in `saved` and twice in `means`; `partial` has two doubles for every block of rows and column.
    unsafe {
        let args = args![CHUNK, rows, c, x, saved, bias, relu, gy, &partial];
        columns.sum(gpu, "batch_norm_gradient_sums", args)?;
        let args = args![columns.chunks(), c, rows, &partial, saved, &g_scale, &g_bias, &means];
        columns.finish(gpu, "batch_norm_gradient_finish", args)?;
        let args = args![rows, c, x, saved, bias, relu, &means, gy, &gx];
        over_rows(gpu, rows, BATCH_NORM, "batch_norm_backward", args)
    }
}
