//! Work on rows of numbers, a warp each: the launches of `rows.cu`.

use super::buffer::{Operand, Scratch};
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Arg, Kernels, args, blocks, kernels, writing};
use super::view::{Slice, SliceMut};
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;

pub const ROWS: Kernels = kernels!("rows");

/// Launches a kernel that works on rows, a warp each.
///
/// # Safety
/// As [`Gpu::launch`].
pub unsafe fn over_rows<const N: usize>(
    gpu: &Gpu,
    rows: usize,
    kernels: Kernels,
    kernel: &'static str,
    args: [Arg; N],
) -> Result<(), GpuError> {
    const EACH: usize = 8;
    // SAFETY: the caller's promise.
    unsafe { gpu.launch(kernels, kernel, [blocks(rows, EACH), 1, 1], [32, EACH as u32, 1], 0, args) }
}

/// What is done with the rows `y` after a product, with a bias for each column.
pub enum Epilogue<'a> {
    /// `y = y + bias + residual`.
    Add(Slice<'a>),
    /// `y = max(y + bias, 0)`.
    Relu,
    /// `y = y + bias`.
    None,
}

/// Adds the bias and does what comes after it.
pub fn bias_epilogue(gpu: &Gpu, y: SliceMut<'_>, bias: Slice<'_>, epilogue: Epilogue<'_>) -> Result<(), GpuError> {
    let (y, rows, c) = (&y, y.len() / bias.len(), bias.len() as i32);
    assert_eq!(rows * bias.len(), y.len());
    if let Epilogue::Add(residual) = &epilogue {
        assert_eq!(residual.len(), y.len());
    }
    // SAFETY: `y` and the residual have `rows` rows of `c` numbers, the bias `c`.
    unsafe {
        match epilogue {
            Epilogue::Add(r) => over_rows(gpu, rows, ROWS, "bias_add", args![rows, c, y, bias, r]),
            Epilogue::Relu => over_rows(gpu, rows, ROWS, "bias_relu", args![rows, c, y, bias, 1]),
            Epilogue::None => over_rows(gpu, rows, ROWS, "bias_relu", args![rows, c, y, bias, 0]),
        }
    }
}

/// `y = y + bias + residual`, and [`layer_norm`] of `y`.
pub fn bias_add_norm(
    gpu: &Gpu,
    y: SliceMut<'_>,
    [bias, residual]: [Slice<'_>; 2],
    [gamma, beta]: [Slice<'_>; 2],
    precision: Precision,
) -> Result<Operand, GpuError> {
    let (rows, c, normed) = (y.len() / bias.len(), bias.len() as i32, gpu.operand(y.len(), precision)?);
    assert!(
        rows * bias.len() == y.len()
            && residual.len() == y.len()
            && gamma.len() == bias.len()
            && beta.len() == bias.len()
    );
    let kernel = writing(precision, ["bias_add_norm", "bias_add_norm_bf16"]);
    let args = args![rows, c, &y, bias, residual, &y, gamma, beta, &normed];
    // SAFETY: `y`, residual and `normed`, stored as the kernel writes it, have `rows` rows of `c` numbers, the others `c`.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args) }?;
    Ok(normed)
}

/// `y = gelu(x + bias) + residual`.
pub fn bias_gelu_add(gpu: &Gpu, x: Slice<'_>, [bias, residual]: [Slice<'_>; 2]) -> Result<Scratch, GpuError> {
    let (rows, c, y) = (x.len() / bias.len(), bias.len() as i32, gpu.scratch(x.len())?);
    assert!(rows * bias.len() == x.len() && residual.len() == x.len());
    // SAFETY: `x`, residual and `y` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, "bias_gelu_add", args![rows, c, x, bias, residual, &y]) }?;
    Ok(y)
}

/// [`bias_gelu_add`], and [`layer_norm`] of what it gives.
pub fn bias_gelu_add_norm(
    gpu: &Gpu,
    x: Slice<'_>,
    [bias, residual]: [Slice<'_>; 2],
    [gamma, beta]: [Slice<'_>; 2],
    precision: Precision,
) -> Result<(Scratch, Operand), GpuError> {
    let (rows, c, y, normed) =
        (x.len() / bias.len(), bias.len() as i32, gpu.scratch(x.len())?, gpu.operand(x.len(), precision)?);
    assert!(
        rows * bias.len() == x.len()
            && residual.len() == x.len()
            && gamma.len() == bias.len()
            && beta.len() == bias.len()
    );
    let kernel = writing(precision, ["bias_gelu_add_norm", "bias_gelu_add_norm_bf16"]);
    let args = args![rows, c, x, bias, residual, &y, gamma, beta, &normed];
    // SAFETY: as in `bias_add_norm`.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args) }?;
    Ok((y, normed))
}

/// `y = gelu(x + bias)`.
pub fn bias_gelu(gpu: &Gpu, x: Slice<'_>, bias: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
    let (rows, c) = (x.len() / bias.len(), bias.len() as i32);
    assert!(rows * bias.len() == x.len() && y.len() == x.len());
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, "bias_gelu", args![rows, c, x, bias, &y]) }
}

/// `gelu(x + bias)` for a product of this precision.
pub fn bias_gelu_of(gpu: &Gpu, x: Slice<'_>, bias: Slice<'_>, precision: Precision) -> Result<Operand, GpuError> {
    let (rows, c, y) = (x.len() / bias.len(), bias.len() as i32, gpu.operand(x.len(), precision)?);
    assert_eq!(rows * bias.len(), x.len());
    let kernel = writing(precision, ["bias_gelu", "bias_gelu_bf16"]);
    // SAFETY: `x` and `y`, stored as the kernel writes it, have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args![rows, c, x, bias, &y]) }?;
    Ok(y)
}

/// `g = g gelu'(x + bias)`.
pub fn bias_gelu_backward(gpu: &Gpu, x: Slice<'_>, bias: Slice<'_>, g: SliceMut<'_>) -> Result<(), GpuError> {
    let (rows, c) = (x.len() / bias.len(), bias.len() as i32);
    assert!(rows * bias.len() == x.len() && g.len() == x.len());
    // SAFETY: `x` and `g` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, "bias_gelu_backward", args![rows, c, x, bias, &g, &g]) }
}

/// `y = gelu(y + bias)`, as `y` is stored.
pub fn bias_gelu_in_place(gpu: &Gpu, y: &mut Operand, bias: Slice<'_>) -> Result<(), GpuError> {
    let (rows, c, y) = (y.len() / bias.len(), bias.len() as i32, &*y);
    assert_eq!(rows * bias.len(), y.len());
    let kernel = writing(y.precision(), ["bias_gelu", "bias_gelu_all_bf16"]);
    // SAFETY: `y` has `rows` rows of `c` numbers, stored as the kernel reads and writes them, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args![rows, c, y, bias, y]) }
}

/// `g = g gelu'(x + bias)`, as both are stored.
pub fn bias_gelu_backward_in_place(gpu: &Gpu, x: &Operand, bias: Slice<'_>, g: &mut Operand) -> Result<(), GpuError> {
    let (rows, c, g) = (x.len() / bias.len(), bias.len() as i32, &*g);
    assert!(rows * bias.len() == x.len() && g.len() == x.len() && g.precision() == x.precision());
    let kernel = writing(x.precision(), ["bias_gelu_backward", "bias_gelu_backward_all_bf16"]);
    // SAFETY: `x` and `g` have `rows` rows of `c` numbers, stored as the kernel reads and writes them, the bias `c`.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args![rows, c, x, bias, g, g]) }
}

/// `y = max(y, 0)`.
pub fn relu(gpu: &Gpu, y: SliceMut<'_>, c: usize) -> Result<(), GpuError> {
    let (rows, no_bias) = (y.len() / c, 0u64);
    assert_eq!(rows * c, y.len());
    // SAFETY: `y` has `rows` rows of `c` numbers; a bias of address 0 is not read.
    unsafe { over_rows(gpu, rows, ROWS, "bias_relu", args![rows, c as i32, &y, no_bias, 1]) }
}

/// Layer normalisation of rows with Hiera's epsilon, for a product of this precision.
pub fn layer_norm(
    gpu: &Gpu,
    x: Slice<'_>,
    [gamma, beta]: [Slice<'_>; 2],
    precision: Precision,
) -> Result<Operand, GpuError> {
    let (rows, c, y) = (x.len() / gamma.len(), gamma.len() as i32, gpu.operand(x.len(), precision)?);
    assert!(rows * gamma.len() == x.len() && beta.len() == gamma.len());
    let kernel = writing(precision, ["layer_norm", "layer_norm_bf16"]);
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, gamma and beta `c`; `y` is stored as the kernel writes it.
    unsafe { over_rows(gpu, rows, ROWS, kernel, args![rows, c, x, gamma, beta, &y]) }?;
    Ok(y)
}

/// The gradient of [`layer_norm`]'s input in the place of that of its output, plus a residual if there is one.
pub fn layer_norm_backward(
    gpu: &Gpu,
    x: Slice<'_>,
    gamma: Slice<'_>,
    g: SliceMut<'_>,
    residual: Option<Slice<'_>>,
) -> Result<(), GpuError> {
    let (rows, c) = (x.len() / gamma.len(), gamma.len() as i32);
    assert!(rows * gamma.len() == x.len() && g.len() == x.len() && residual.is_none_or(|r| r.len() == x.len()));
    let residual = residual.map_or(0, Slice::address);
    // SAFETY: `x`, `g` and a residual have `rows` rows of `c` numbers, gamma `c`; a residual of address 0 is not read.
    unsafe { over_rows(gpu, rows, ROWS, "layer_norm_backward", args![rows, c, x, gamma, &g, residual]) }
}

/// `y = y + bias + pool(full + full_bias)`, where the 2x2 max pool makes maps of extent `half`.
pub fn bias_add_pooled(
    gpu: &Gpu,
    half: Extent,
    y: SliceMut<'_>,
    bias: Slice<'_>,
    full: Slice<'_>,
    full_bias: Slice<'_>,
) -> Result<(), GpuError> {
    let (rows, c) = (y.len() / bias.len(), bias.len() as i32);
    assert!(rows * bias.len() == y.len() && full.len() == 4 * y.len() && full_bias.len() == bias.len());
    assert!(rows.is_multiple_of(half.area()));
    let width = half.width as i32;
    // SAFETY: `y` has `rows` rows of `c` numbers, whole maps of extent `half`; `full` has maps twice as high and wide.
    unsafe { over_rows(gpu, rows, ROWS, "bias_add_pooled", args![rows, width, c, &y, bias, full, full_bias]) }
}

/// The gradient of the pool's input, in the place of its input `full`.
pub fn pool_backward(
    gpu: &Gpu,
    half: Extent,
    full: SliceMut<'_>,
    full_bias: Slice<'_>,
    g: Slice<'_>,
) -> Result<(), GpuError> {
    let (rows, c) = (g.len() / full_bias.len(), full_bias.len() as i32);
    assert!(rows * full_bias.len() == g.len() && full.len() == 4 * g.len() && rows.is_multiple_of(half.area()));
    // SAFETY: as in `bias_add_pooled`.
    unsafe { over_rows(gpu, rows, ROWS, "pool_backward", args![rows, half.width as i32, c, &full, full_bias, g]) }
}
