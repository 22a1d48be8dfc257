//! Linear layers as matrix products: forward, the gradients of input and weight, and the rounding of operands.

use super::buffer::{Operand, Scratch};
use super::columns::add_column_sums;
use super::error::GpuError;
use super::gemm::{self, Matrix, Target};
use super::gpu::Gpu;
use super::ptx::args;
use super::rows::ROWS;
use super::view::{OperandSlice, Slice, SliceMut};
use crate::kernels::precision::Precision;

/// A buffer as an operand of a product: the buffer itself, or a copy rounded to bf16.
#[derive(Debug)]
pub enum Rounded<'a> {
    Itself(OperandSlice<'a>),
    Copy(Operand),
}

impl<'a> From<&'a Rounded<'_>> for OperandSlice<'a> {
    fn from(rounded: &'a Rounded<'_>) -> Self {
        match rounded {
            Rounded::Itself(operand) => *operand,
            Rounded::Copy(operand) => operand.into(),
        }
    }
}

/// `x` as an operand for products of this precision.
pub fn rounded<'a>(gpu: &Gpu, x: Slice<'a>, precision: Precision) -> Result<Rounded<'a>, GpuError> {
    Ok(match precision {
        Precision::Bf16 => Rounded::Copy(round_bf16(gpu, x)?),
        _ => Rounded::Itself(x.stored_in(precision)),
    })
}

/// The same of two at once.
pub fn rounded_two<'a>(gpu: &Gpu, two: [Slice<'a>; 2], precision: Precision) -> Result<[Rounded<'a>; 2], GpuError> {
    if precision != Precision::Bf16 {
        return Ok(two.map(|x| Rounded::Itself(x.stored_in(precision))));
    }
    let [a, b] = two;
    let (y, w) = (gpu.operand(a.len(), precision)?, gpu.operand(b.len(), precision)?);
    // SAFETY: `a` and `y`, `b` and `w` have as many numbers, and what is written is stored in bf16.
    unsafe { gpu.launch_over(a.len() + b.len(), ROWS, "round_two_bf16", args![a.len(), a, &y, b.len(), b, &w]) }?;
    Ok([y, w].map(Rounded::Copy))
}

/// The same as [`rounded`] for a buffer that nothing else reads any more.
pub fn rounded_away(gpu: &Gpu, x: Scratch, precision: Precision) -> Result<Operand, GpuError> {
    match precision {
        Precision::Bf16 => round_bf16(gpu, (&x).into()),
        _ => Ok(x.into_operand(precision)),
    }
}

fn round_bf16(gpu: &Gpu, x: Slice<'_>) -> Result<Operand, GpuError> {
    let y = gpu.operand(x.len(), Precision::Bf16)?;
    // SAFETY: both have as many numbers, and `y` is stored in bf16.
    unsafe { gpu.launch_over(x.len(), ROWS, "round_bf16", args![x.len(), x, &y]) }?;
    Ok(y)
}

/// An operand as rows of `columns` numbers.
fn matrix(x: OperandSlice<'_>, rows: usize, columns: usize) -> Matrix {
    assert_eq!(x.len(), rows * columns, "a matrix of {rows} x {columns} numbers");
    Matrix { address: x.address(), ld: columns, transposed: false, precision: x.precision() }
}

/// What a product writes, rows of `columns` numbers.
fn target(y: &SliceMut<'_>, rows: usize, columns: usize) -> Target {
    assert_eq!(y.len(), rows * columns, "a matrix of {rows} x {columns} numbers");
    Target { address: y.address(), ld: columns, rounded: false }
}

/// `y = x w^T + beta y`, for rows of `x` and a weight `(out, in)`; the extents are rows, in, out.
pub fn linear(
    gpu: &Gpu,
    [rows, inputs, outputs]: [usize; 3],
    x: OperandSlice<'_>,
    weight: OperandSlice<'_>,
    beta: f32,
    y: SliceMut<'_>,
) -> Result<(), GpuError> {
    let (a, b) = (matrix(x, rows, inputs), matrix(weight, outputs, inputs).t());
    // SAFETY: the three lengths are checked by `matrix` and `target`; the result is borrowed alone.
    unsafe { gemm::gemm(gpu, [rows, outputs, inputs], a, b, beta, target(&y, rows, outputs)) }
}

/// `gx = gy w + beta gx`, the gradient of [`linear`]'s input.
pub fn linear_backward(
    gpu: &Gpu,
    [rows, inputs, outputs]: [usize; 3],
    gy: OperandSlice<'_>,
    weight: OperandSlice<'_>,
    beta: f32,
    gx: SliceMut<'_>,
) -> Result<(), GpuError> {
    let (a, b) = (matrix(gy, rows, outputs), matrix(weight, outputs, inputs));
    // SAFETY: as in `linear`.
    unsafe { gemm::gemm(gpu, [rows, inputs, outputs], a, b, beta, target(&gx, rows, inputs)) }
}

/// `x w^T`, as [`linear`] gives it, stored as products of a precision take it: in bf16 those of such operands only.
pub fn linear_as(
    gpu: &Gpu,
    [rows, inputs, outputs]: [usize; 3],
    x: OperandSlice<'_>,
    weight: OperandSlice<'_>,
    stored: Precision,
) -> Result<Operand, GpuError> {
    let y = gpu.operand(rows * outputs, stored)?;
    let (a, b) = (matrix(x, rows, inputs), matrix(weight, outputs, inputs).t());
    // SAFETY: as in `linear`; the result was made for it.
    unsafe { gemm::gemm(gpu, [rows, outputs, inputs], a, b, 0.0, whole(&y, outputs)) }?;
    Ok(y)
}

/// `gy w`, as [`linear_backward`] gives it, stored as [`linear_as`] stores.
pub fn linear_backward_as(
    gpu: &Gpu,
    [rows, inputs, outputs]: [usize; 3],
    gy: OperandSlice<'_>,
    weight: OperandSlice<'_>,
    stored: Precision,
) -> Result<Operand, GpuError> {
    let gx = gpu.operand(rows * inputs, stored)?;
    let (a, b) = (matrix(gy, rows, outputs), matrix(weight, outputs, inputs));
    // SAFETY: as in `linear_as`.
    unsafe { gemm::gemm(gpu, [rows, inputs, outputs], a, b, 0.0, whole(&gx, inputs)) }?;
    Ok(gx)
}

/// A whole buffer as a product's result.
fn whole(y: &Operand, columns: usize) -> Target {
    Target { address: y.address(), ld: columns, rounded: y.precision() == Precision::Bf16 }
}

/// Numbers, at most, of a weight's partial gradients that are computed in one batch.
const GRADIENT_NUMBERS: usize = 1 << 22;

/// `gw = gy^T x + beta gw`, the gradient of [`linear`]'s weight. In single precision all slabs of the rows but the last are
/// summed in one batch, which keeps a card busy, and then added up in double precision.
pub fn weight_gradient(
    gpu: &Gpu,
    [rows, inputs, outputs]: [usize; 3],
    x: OperandSlice<'_>,
    gy: OperandSlice<'_>,
    beta: f32,
    gw: SliceMut<'_>,
) -> Result<(), GpuError> {
    let (a, b, each) = (matrix(gy, rows, outputs).t(), matrix(x, rows, inputs), inputs * outputs);
    let slabs = match x.precision() {
        Precision::F32 => gemm::slabs(rows).min(GRADIENT_NUMBERS / each.max(1)).max(1),
        Precision::Tf32 | Precision::Bf16 => 1,
    };
    let (depth, aside) = (rows / slabs, slabs - 1);
    let before = aside * depth;
    let (last_a, last_b) = (a.after(before, false), b.after(before, true));
    let y = target(&gw, outputs, inputs);
    // SAFETY: as in `linear`, for the rows from `before` on.
    unsafe { gemm::gemm(gpu, [outputs, inputs, rows - before], last_a, last_b, beta, y) }?;
    if aside == 0 {
        return Ok(());
    }
    let mut partial = gpu.scratch(aside * each)?;
    let y = target(&SliceMut::from(&mut partial), aside * outputs, inputs);
    let (a, b) = ((a, depth * outputs), (b, depth * inputs));
    // SAFETY: as in `linear`, for `aside` times `depth` rows; `partial` was made for as many products.
    unsafe { gemm::gemm_batched(gpu, [outputs, inputs, depth], a, b, 0.0, (y, each), aside) }?;
    add_column_sums(gpu, (&partial).into(), gw)
}
