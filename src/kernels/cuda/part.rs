//! Stretches of device numbers, whose lengths every launch checks, and what works on rows of them.

use super::gemm::{self, Matrix, Target};
use super::launch::{Arg, Kernels, Stream, args, blocks, kernels};
use super::memory::{Numbers, Out, Scratch, View};
use crate::kernels::precision::Precision;
use dfdx::prelude::*;
use std::marker::PhantomData;
use std::sync::Arc;

const ROWS: Kernels = kernels!("rows");
const SUMS: Kernels = kernels!("batch_norm");
/// Rows that one block sums.
pub const CHUNK: usize = 256;

/// Some of a buffer's single precision numbers, to read; the buffer is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    address: u64,
    len: usize,
    owner: PhantomData<&'a ()>,
}

/// Some of a buffer's single precision numbers, to write; the buffer is borrowed alone.
#[derive(Debug)]
pub struct PartMut<'a> {
    address: u64,
    len: usize,
    owner: PhantomData<&'a mut ()>,
}

/// Numbers to multiply, stored as their precision wants them; the buffer is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    address: u64,
    len: usize,
    precision: Precision,
    owner: PhantomData<&'a ()>,
}

impl Part<'_> {
    /// `len` numbers from `start` on.
    pub fn at(self, start: usize, len: usize) -> Self {
        Self { address: address_of(self.address, self.len, start, len), len, owner: PhantomData }
    }

    /// How many numbers there are.
    pub fn len(self) -> usize {
        self.len
    }
}

impl<'a> Part<'a> {
    /// As factors that are not rounded.
    pub fn exact(self) -> Factor<'a> {
        let Self { address, len, .. } = self;
        Factor { address, len, precision: Precision::F32, owner: PhantomData }
    }
}

impl PartMut<'_> {
    /// `len` numbers from `start` on.
    pub fn at(&mut self, start: usize, len: usize) -> PartMut<'_> {
        PartMut { address: address_of(self.address, self.len, start, len), len, owner: PhantomData }
    }

    /// The same, for one more use of it.
    pub fn again(&mut self) -> PartMut<'_> {
        self.at(0, self.len)
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// As a product's result, rows of `columns` numbers.
    fn result(&self, rows: usize, columns: usize) -> Target {
        assert_eq!(self.len, rows * columns, "a matrix of {rows} x {columns} numbers");
        Target { address: self.address, ld: columns, rounded: false }
    }
}

impl Factor<'_> {
    /// As rows of `columns` numbers.
    fn matrix(self, rows: usize, columns: usize) -> Matrix {
        assert_eq!(self.len, rows * columns, "a matrix of {rows} x {columns} numbers");
        Matrix { address: self.address, ld: columns, transposed: false, precision: self.precision }
    }
}

fn address_of(address: u64, all: usize, start: usize, len: usize) -> u64 {
    assert!(start + len <= all, "{start} + {len} numbers of {all}");
    address + (start * size_of::<f32>()) as u64
}

impl From<Part<'_>> for Arg {
    fn from(part: Part<'_>) -> Self {
        part.address.into()
    }
}

impl From<&PartMut<'_>> for Arg {
    fn from(part: &PartMut<'_>) -> Self {
        part.address.into()
    }
}

macro_rules! parts_of {
    ($($buffer:ty),*) => { $(
        impl<'a> From<&'a $buffer> for Part<'a> {
            fn from(buffer: &'a $buffer) -> Self {
                Self { address: buffer.address(), len: buffer.len(), owner: PhantomData }
            }
        }
    )* };
}
parts_of!(View, Scratch);

impl<'a> From<&'a Arc<Numbers>> for Part<'a> {
    /// Of a frozen weight that is no factor.
    fn from(numbers: &'a Arc<Numbers>) -> Self {
        assert_eq!(numbers.precision(), Precision::F32, "only factors are rounded");
        Self { address: numbers.address(), len: numbers.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a mut Scratch> for PartMut<'a> {
    fn from(buffer: &'a mut Scratch) -> Self {
        Self { address: buffer.address(), len: buffer.len(), owner: PhantomData }
    }
}

impl<'a> From<Out<'a>> for PartMut<'a> {
    fn from(out: Out<'a>) -> Self {
        Self { address: out.address(), len: out.len(), owner: PhantomData }
    }
}

impl<'a> From<&'a Numbers> for Factor<'a> {
    fn from(numbers: &'a Numbers) -> Self {
        let (address, len, precision) = (numbers.address(), numbers.len(), numbers.precision());
        Self { address, len, precision, owner: PhantomData }
    }
}

impl<'a> From<&'a Arc<Numbers>> for Factor<'a> {
    fn from(numbers: &'a Arc<Numbers>) -> Self {
        (&**numbers).into()
    }
}

/// What a product of a precision takes in a buffer's place: the buffer itself, or a rounded copy.
#[derive(Debug)]
pub enum Rounded<'a> {
    Itself(Factor<'a>),
    Copy(Numbers),
}

impl<'a> From<&'a Rounded<'_>> for Factor<'a> {
    fn from(rounded: &'a Rounded<'_>) -> Self {
        match rounded {
            Rounded::Itself(factor) => *factor,
            Rounded::Copy(numbers) => numbers.into(),
        }
    }
}

/// `x` as products of this precision take it.
pub fn rounded<'a>(stream: &Stream, x: Part<'a>, precision: Precision) -> Result<Rounded<'a>, CudaError> {
    let Part { address, len, owner } = x;
    Ok(match precision {
        Precision::Bf16 => Rounded::Copy(halved(stream, x)?),
        _ => Rounded::Itself(Factor { address, len, precision, owner }),
    })
}

/// The same of two at once.
pub fn rounded_two<'a>(
    stream: &Stream,
    two: [Part<'a>; 2],
    precision: Precision,
) -> Result<[Rounded<'a>; 2], CudaError> {
    if precision != Precision::Bf16 {
        return Ok(two.map(|Part { address, len, owner }| Rounded::Itself(Factor { address, len, precision, owner })));
    }
    let [a, b] = two;
    let (y, w) = (stream.factor(a.len, precision)?, stream.factor(b.len, precision)?);
    // SAFETY: `a` and `y`, `b` and `w` have as many numbers, and what is written is stored in bf16.
    unsafe { stream.launch_over(a.len + b.len, ROWS, "round_two_bf16", args![a.len, a, &y, b.len, b, &w]) }?;
    Ok([y, w].map(Rounded::Copy))
}

/// The same as [`rounded`] for a buffer that nothing else reads any more.
pub fn rounded_away(stream: &Stream, x: Scratch, precision: Precision) -> Result<Numbers, CudaError> {
    match precision {
        Precision::Bf16 => halved(stream, (&x).into()),
        _ => Ok(x.into_factor(precision)),
    }
}

fn halved(stream: &Stream, x: Part<'_>) -> Result<Numbers, CudaError> {
    let y = stream.factor(x.len, Precision::Bf16)?;
    // SAFETY: both have as many numbers, and `y` is stored in bf16.
    unsafe { stream.launch_over(x.len, ROWS, "round_bf16", args![x.len, x, &y]) }?;
    Ok(y)
}

/// Of a kernel's two names the one that writes what products of this precision take.
pub fn writing(precision: Precision, [single, half]: [&'static str; 2]) -> &'static str {
    if precision == Precision::Bf16 { half } else { single }
}

/// `y = x w^T + beta y`, for rows of `x` and a weight `(out, in)`; the extents are rows, in, out.
pub fn linear(
    stream: &Stream,
    [rows, inputs, outputs]: [usize; 3],
    x: Factor<'_>,
    weight: Factor<'_>,
    beta: f32,
    y: PartMut<'_>,
) -> Result<(), CudaError> {
    let (a, b) = (x.matrix(rows, inputs), weight.matrix(outputs, inputs).t());
    // SAFETY: the three lengths are checked by `matrix` and `result`; the result is borrowed alone.
    unsafe { gemm::gemm(stream, [rows, outputs, inputs], a, b, beta, y.result(rows, outputs)) }
}

/// `gx = gy w + beta gx`, the gradient of [`linear`]'s input.
pub fn linear_backward(
    stream: &Stream,
    [rows, inputs, outputs]: [usize; 3],
    gy: Factor<'_>,
    weight: Factor<'_>,
    beta: f32,
    gx: PartMut<'_>,
) -> Result<(), CudaError> {
    let (a, b) = (gy.matrix(rows, outputs), weight.matrix(outputs, inputs));
    // SAFETY: as in `linear`.
    unsafe { gemm::gemm(stream, [rows, inputs, outputs], a, b, beta, gx.result(rows, inputs)) }
}

/// `x w^T`, as [`linear`] gives it, stored as products of a precision take it: in bf16 those of such factors only.
pub fn linear_as(
    stream: &Stream,
    [rows, inputs, outputs]: [usize; 3],
    x: Factor<'_>,
    weight: Factor<'_>,
    stored: Precision,
) -> Result<Numbers, CudaError> {
    let y = stream.factor(rows * outputs, stored)?;
    let (a, b) = (x.matrix(rows, inputs), weight.matrix(outputs, inputs).t());
    // SAFETY: as in `linear`; the result was made for it.
    unsafe { gemm::gemm(stream, [rows, outputs, inputs], a, b, 0.0, whole(&y, outputs)) }?;
    Ok(y)
}

/// `gy w`, as [`linear_backward`] gives it, stored as [`linear_as`] stores.
pub fn linear_backward_as(
    stream: &Stream,
    [rows, inputs, outputs]: [usize; 3],
    gy: Factor<'_>,
    weight: Factor<'_>,
    stored: Precision,
) -> Result<Numbers, CudaError> {
    let gx = stream.factor(rows * inputs, stored)?;
    let (a, b) = (gy.matrix(rows, outputs), weight.matrix(outputs, inputs));
    // SAFETY: as in `linear_as`.
    unsafe { gemm::gemm(stream, [rows, inputs, outputs], a, b, 0.0, whole(&gx, inputs)) }?;
    Ok(gx)
}

/// A whole buffer as a product's result.
fn whole(y: &Numbers, columns: usize) -> Target {
    Target { address: y.address(), ld: columns, rounded: y.precision() == Precision::Bf16 }
}

/// Numbers of a weight's gradients, at most, that are computed beside each other.
const GRADIENT_NUMBERS: usize = 1 << 22;

/// `gw = gy^T x + beta gw`, the gradient of [`linear`]'s weight. In single precision all slabs of the rows but the last are
/// summed beside each other, which keeps a card busy, and then added up in double precision.
pub fn weight_gradient(
    stream: &Stream,
    [rows, inputs, outputs]: [usize; 3],
    x: Factor<'_>,
    gy: Factor<'_>,
    beta: f32,
    mut gw: PartMut<'_>,
) -> Result<(), CudaError> {
    let (a, b, each) = (gy.matrix(rows, outputs).t(), x.matrix(rows, inputs), inputs * outputs);
    let slabs = match x.precision {
        Precision::F32 => gemm::slabs(rows).min(GRADIENT_NUMBERS / each.max(1)).max(1),
        Precision::Tf32 | Precision::Bf16 => 1,
    };
    let (depth, aside) = (rows / slabs, slabs - 1);
    let before = aside * depth;
    let (last_a, last_b) = (a.after(before, false), b.after(before, true));
    let target = gw.again().result(outputs, inputs);
    // SAFETY: as in `linear`, for the rows from `before` on.
    unsafe { gemm::gemm(stream, [outputs, inputs, rows - before], last_a, last_b, beta, target) }?;
    if aside == 0 {
        return Ok(());
    }
    let mut partial = stream.uninit(aside * each)?;
    let target = PartMut::from(&mut partial).result(aside * outputs, inputs);
    let (a, b) = ((a, depth * outputs), (b, depth * inputs));
    // SAFETY: as in `linear`, for `aside` times `depth` rows; `partial` was made for as many products.
    unsafe { gemm::gemm_batched(stream, [outputs, inputs, depth], a, b, 0.0, (target, each), aside) }?;
    add_column_sums(stream, (&partial).into(), gw)
}

/// Launches a kernel that works on rows, a warp each.
///
/// # Safety
/// As [`Stream::launch`].
pub unsafe fn over_rows<const N: usize>(
    stream: &Stream,
    rows: usize,
    kernels: Kernels,
    kernel: &'static str,
    args: [Arg; N],
) -> Result<(), CudaError> {
    const EACH: usize = 8;
    // SAFETY: the caller's promise.
    unsafe { stream.launch(kernels, kernel, [blocks(rows, EACH), 1, 1], [32, EACH as u32, 1], 0, args) }
}

/// What is done with rows after a product: `y` and maybe others of its length, with a number per column in `bias`.
pub enum After<'a> {
    /// `y = y + bias + residual`.
    Add(Part<'a>),
    /// `y = max(y + bias, 0)`.
    Relu,
    /// `y = y + bias`.
    Stop,
}

/// Adds the bias and does what comes after it.
pub fn bias_and(stream: &Stream, y: PartMut<'_>, bias: Part<'_>, after: After<'_>) -> Result<(), CudaError> {
    let (y, rows, c) = (&y, y.len / bias.len, bias.len as i32);
    assert_eq!(rows * bias.len, y.len);
    if let After::Add(residual) = &after {
        assert_eq!(residual.len, y.len);
    }
    // SAFETY: `y` and the residual have `rows` rows of `c` numbers, the bias `c`.
    unsafe {
        match after {
            After::Add(r) => over_rows(stream, rows, ROWS, "bias_add", args![rows, c, y, bias, r]),
            After::Relu => over_rows(stream, rows, ROWS, "bias_relu", args![rows, c, y, bias, 1]),
            After::Stop => over_rows(stream, rows, ROWS, "bias_relu", args![rows, c, y, bias, 0]),
        }
    }
}

/// `y = y + bias + residual`, and [`layer_norm`] of `y`.
pub fn bias_add_norm(
    stream: &Stream,
    y: PartMut<'_>,
    [bias, residual]: [Part<'_>; 2],
    [gamma, beta]: [Part<'_>; 2],
    precision: Precision,
) -> Result<Numbers, CudaError> {
    let (rows, c, normed) = (y.len / bias.len, bias.len as i32, stream.factor(y.len, precision)?);
    assert!(rows * bias.len == y.len && residual.len == y.len && gamma.len == bias.len && beta.len == bias.len);
    let kernel = writing(precision, ["bias_add_norm", "bias_add_norm_bf16"]);
    let args = args![rows, c, &y, bias, residual, &y, gamma, beta, &normed];
    // SAFETY: `y`, residual and `normed`, stored as the kernel writes it, have `rows` rows of `c` numbers, the others `c`.
    unsafe { over_rows(stream, rows, ROWS, kernel, args) }?;
    Ok(normed)
}

/// `y = gelu(x + bias) + residual`.
pub fn bias_gelu_add(stream: &Stream, x: Part<'_>, [bias, residual]: [Part<'_>; 2]) -> Result<Scratch, CudaError> {
    let (rows, c, y) = (x.len / bias.len, bias.len as i32, stream.uninit(x.len)?);
    assert!(rows * bias.len == x.len && residual.len == x.len);
    // SAFETY: `x`, residual and `y` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, "bias_gelu_add", args![rows, c, x, bias, residual, &y]) }?;
    Ok(y)
}

/// [`bias_gelu_add`], and [`layer_norm`] of what it gives.
pub fn bias_gelu_add_norm(
    stream: &Stream,
    x: Part<'_>,
    [bias, residual]: [Part<'_>; 2],
    [gamma, beta]: [Part<'_>; 2],
    precision: Precision,
) -> Result<(Scratch, Numbers), CudaError> {
    let (rows, c, y, normed) =
        (x.len / bias.len, bias.len as i32, stream.uninit(x.len)?, stream.factor(x.len, precision)?);
    assert!(rows * bias.len == x.len && residual.len == x.len && gamma.len == bias.len && beta.len == bias.len);
    let kernel = writing(precision, ["bias_gelu_add_norm", "bias_gelu_add_norm_bf16"]);
    let args = args![rows, c, x, bias, residual, &y, gamma, beta, &normed];
    // SAFETY: as in `bias_add_norm`.
    unsafe { over_rows(stream, rows, ROWS, kernel, args) }?;
    Ok((y, normed))
}

/// `y = gelu(x + bias)`.
pub fn bias_gelu(stream: &Stream, x: Part<'_>, bias: Part<'_>, y: PartMut<'_>) -> Result<(), CudaError> {
    let (rows, c) = (x.len / bias.len, bias.len as i32);
    assert!(rows * bias.len == x.len && y.len == x.len);
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, "bias_gelu", args![rows, c, x, bias, &y]) }
}

/// `gelu(x + bias)` for a product of this precision.
pub fn bias_gelu_of(stream: &Stream, x: Part<'_>, bias: Part<'_>, precision: Precision) -> Result<Numbers, CudaError> {
    let (rows, c, y) = (x.len / bias.len, bias.len as i32, stream.factor(x.len, precision)?);
    assert_eq!(rows * bias.len, x.len);
    let kernel = writing(precision, ["bias_gelu", "bias_gelu_bf16"]);
    // SAFETY: `x` and `y`, stored as the kernel writes it, have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, kernel, args![rows, c, x, bias, &y]) }?;
    Ok(y)
}

/// `g = g gelu'(x + bias)`.
pub fn bias_gelu_backward(stream: &Stream, x: Part<'_>, bias: Part<'_>, g: PartMut<'_>) -> Result<(), CudaError> {
    let (rows, c) = (x.len / bias.len, bias.len as i32);
    assert!(rows * bias.len == x.len && g.len == x.len);
    // SAFETY: `x` and `g` have `rows` rows of `c` numbers, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, "bias_gelu_backward", args![rows, c, x, bias, &g, &g]) }
}

/// `y = gelu(y + bias)`, as `y` is stored.
pub fn bias_gelu_in_place(stream: &Stream, y: &mut Numbers, bias: Part<'_>) -> Result<(), CudaError> {
    let (rows, c, y) = (y.len() / bias.len, bias.len as i32, &*y);
    assert_eq!(rows * bias.len, y.len());
    let kernel = writing(y.precision(), ["bias_gelu", "bias_gelu_all_bf16"]);
    // SAFETY: `y` has `rows` rows of `c` numbers, stored as the kernel reads and writes them, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, kernel, args![rows, c, y, bias, y]) }
}

/// `g = g gelu'(x + bias)`, as both are stored.
pub fn bias_gelu_backward_in_place(
    stream: &Stream,
    x: &Numbers,
    bias: Part<'_>,
    g: &mut Numbers,
) -> Result<(), CudaError> {
    let (rows, c, g) = (x.len() / bias.len, bias.len as i32, &*g);
    assert!(rows * bias.len == x.len() && g.len() == x.len() && g.precision() == x.precision());
    let kernel = writing(x.precision(), ["bias_gelu_backward", "bias_gelu_backward_all_bf16"]);
    // SAFETY: `x` and `g` have `rows` rows of `c` numbers, stored as the kernel reads and writes them, the bias `c`.
    unsafe { over_rows(stream, rows, ROWS, kernel, args![rows, c, x, bias, g, g]) }
}

/// `y = max(y, 0)`.
pub fn relu(stream: &Stream, y: PartMut<'_>, c: usize) -> Result<(), CudaError> {
    let (rows, no_bias) = (y.len / c, 0u64);
    assert_eq!(rows * c, y.len);
    // SAFETY: `y` has `rows` rows of `c` numbers; a bias of address 0 is not read.
    unsafe { over_rows(stream, rows, ROWS, "bias_relu", args![rows, c as i32, &y, no_bias, 1]) }
}

/// Layer normalisation of rows with Hiera's epsilon, for a product of this precision.
pub fn layer_norm(
    stream: &Stream,
    x: Part<'_>,
    [gamma, beta]: [Part<'_>; 2],
    precision: Precision,
) -> Result<Numbers, CudaError> {
    let (rows, c, y) = (x.len / gamma.len, gamma.len as i32, stream.factor(x.len, precision)?);
    assert!(rows * gamma.len == x.len && beta.len == gamma.len);
    let kernel = writing(precision, ["layer_norm", "layer_norm_bf16"]);
    // SAFETY: `x` and `y` have `rows` rows of `c` numbers, gamma and beta `c`; `y` is stored as the kernel writes it.
    unsafe { over_rows(stream, rows, ROWS, kernel, args![rows, c, x, gamma, beta, &y]) }?;
    Ok(y)
}

/// The gradient of [`layer_norm`]'s input in the place of that of its output, plus a residual if there is one.
pub fn layer_norm_backward(
    stream: &Stream,
    x: Part<'_>,
    gamma: Part<'_>,
    g: PartMut<'_>,
    residual: Option<Part<'_>>,
) -> Result<(), CudaError> {
    let (rows, c) = (x.len / gamma.len, gamma.len as i32);
    assert!(rows * gamma.len == x.len && g.len == x.len && residual.is_none_or(|r| r.len == x.len));
    let residual = residual.map_or(0, |r| r.address);
    // SAFETY: `x`, `g` and a residual have `rows` rows of `c` numbers, gamma `c`; a residual of address 0 is not read.
    unsafe { over_rows(stream, rows, ROWS, "layer_norm_backward", args![rows, c, x, gamma, &g, residual]) }
}

/// `y = y + bias + pool(full + full_bias)`, where the 2x2 max pool makes maps of side `half`.
pub fn bias_add_pooled(
    stream: &Stream,
    half: usize,
    y: PartMut<'_>,
    bias: Part<'_>,
    full: Part<'_>,
    full_bias: Part<'_>,
) -> Result<(), CudaError> {
    let (rows, c) = (y.len / bias.len, bias.len as i32);
    assert!(rows * bias.len == y.len && full.len == 4 * y.len && full_bias.len == bias.len);
    assert!(rows.is_multiple_of(half * half));
    let half = half as i32;
    // SAFETY: `y` has `rows` rows of `c` numbers, whole maps of side `half`; `full` has maps of twice that side.
    unsafe { over_rows(stream, rows, ROWS, "bias_add_pooled", args![rows, half, c, &y, bias, full, full_bias]) }
}

/// The gradient of the pool's input, in the place of its input `full`.
pub fn pool_backward(
    stream: &Stream,
    half: usize,
    full: PartMut<'_>,
    full_bias: Part<'_>,
    g: Part<'_>,
) -> Result<(), CudaError> {
    let (rows, c) = (g.len / full_bias.len, full_bias.len as i32);
    assert!(rows * full_bias.len == g.len && full.len == 4 * g.len && rows.is_multiple_of(half * half));
    // SAFETY: as in `bias_add_pooled`.
    unsafe { over_rows(stream, rows, ROWS, "pool_backward", args![rows, half as i32, c, &full, full_bias, g]) }
}

/// `y (rows, width)[.., offset..offset + c] = x (rows, c)`.
pub fn put_columns(
    stream: &Stream,
    c: usize,
    x: Part<'_>,
    [width, offset]: [usize; 2],
    y: PartMut<'_>,
) -> Result<(), CudaError> {
    let rows = x.len / c;
    assert!(rows * c == x.len && rows * width == y.len && offset + c <= width);
    let args = args![rows, c as i32, x, width as i32, offset as i32, &y];
    // SAFETY: `x` has `rows` rows of `c` numbers, `y` of `width`, and the columns are some of these.
    unsafe { over_rows(stream, rows, ROWS, "put_columns", args) }
}

/// `y (rows, c) += x (rows, width)[.., offset..offset + c]`.
pub fn add_columns(
    stream: &Stream,
    c: usize,
    x: Part<'_>,
    [width, offset]: [usize; 2],
    y: PartMut<'_>,
) -> Result<(), CudaError> {
    let rows = y.len / c;
    assert!(rows * c == y.len && rows * width == x.len && offset + c <= width);
    let args = args![rows, c as i32, x, width as i32, offset as i32, &y];
    // SAFETY: `y` has `rows` rows of `c` numbers, `x` of `width`, and the columns are some of these.
    unsafe { over_rows(stream, rows, ROWS, "add_columns", args) }
}

/// Sums over the rows of matrices with `c` columns, block by block.
#[derive(Clone, Copy)]
pub struct ColumnSums {
    pub rows: usize,
    pub c: usize,
}

impl ColumnSums {
    /// How many blocks of rows there are.
    pub fn chunks(self) -> usize {
        self.rows.div_ceil(CHUNK)
    }

    /// A buffer for `each` double precision sums of every block and column.
    pub fn partial(self, stream: &Stream, each: usize) -> Result<Scratch, CudaError> {
        stream.uninit(2 * each * self.chunks() * self.c)
    }

    /// Launches a kernel that sums blocks of [`CHUNK`] rows, which is its first argument.
    ///
    /// # Safety
    /// As [`Stream::launch`].
    pub unsafe fn sum<const N: usize>(
        self,
        stream: &Stream,
        kernel: &'static str,
        args: [Arg; N],
    ) -> Result<(), CudaError> {
        let grid = [blocks(self.rows, CHUNK), blocks(self.c, 32), 1];
        // SAFETY: the caller's promise.
        unsafe { stream.launch(SUMS, kernel, grid, [32, 8, 1], 0, args) }
    }

    /// Launches a kernel that adds up what was found for all blocks.
    ///
    /// # Safety
    /// As [`Stream::launch`].
    pub unsafe fn finish<const N: usize>(
        self,
        stream: &Stream,
        kernel: &'static str,
        args: [Arg; N],
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { stream.launch(SUMS, kernel, [blocks(self.c, 32), 1, 1], [32, 8, 1], 0, args) }
    }
}

/// `sums (c) +=` the sum of the rows of `x`.
pub fn add_column_sums(stream: &Stream, x: Part<'_>, sums: PartMut<'_>) -> Result<(), CudaError> {
    let columns = ColumnSums { rows: x.len / sums.len, c: sums.len };
    assert_eq!(columns.rows * columns.c, x.len);
    let (rows, c, partial) = (columns.rows, columns.c as i32, columns.partial(stream, 1)?);
    // SAFETY: `x` has `rows` rows of `c` numbers, `sums` `c`; `partial` has a double for every block and column.
    unsafe {
        columns.sum(stream, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(stream, "column_sums_finish", args![columns.chunks(), c, &partial, &sums])
    }
}
