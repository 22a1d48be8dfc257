//! Columns of matrices: copied, added, and summed in double precision, block by block.

use super::buffer::Scratch;
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Arg, Kernels, args, blocks, kernels};
use super::rows::{ROWS, over_rows};
use super::view::{Slice, SliceMut};

const SUMS: Kernels = kernels!("batch_norm");
/// Rows that one block sums.
pub const CHUNK: usize = 256;

/// `y (rows, width)[.., offset..offset + c] = x (rows, c)`.
pub fn put_columns(
    gpu: &Gpu,
    c: usize,
    x: Slice<'_>,
    [width, offset]: [usize; 2],
    y: SliceMut<'_>,
) -> Result<(), GpuError> {
    let rows = x.len() / c;
    assert!(rows * c == x.len() && rows * width == y.len() && offset + c <= width);
    let args = args![rows, c as i32, x, width as i32, offset as i32, &y];
    // SAFETY: `x` has `rows` rows of `c` numbers, `y` of `width`, and the columns are some of these.
    unsafe { over_rows(gpu, rows, ROWS, "put_columns", args) }
}

/// `y (rows, c) += x (rows, width)[.., offset..offset + c]`.
pub fn add_columns(
    gpu: &Gpu,
    c: usize,
    x: Slice<'_>,
    [width, offset]: [usize; 2],
    y: SliceMut<'_>,
) -> Result<(), GpuError> {
    let rows = y.len() / c;
    assert!(rows * c == y.len() && rows * width == x.len() && offset + c <= width);
    let args = args![rows, c as i32, x, width as i32, offset as i32, &y];
    // SAFETY: `y` has `rows` rows of `c` numbers, `x` of `width`, and the columns are some of these.
    unsafe { over_rows(gpu, rows, ROWS, "add_columns", args) }
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
    pub fn partial(self, gpu: &Gpu, each: usize) -> Result<Scratch, GpuError> {
        gpu.scratch(2 * each * self.chunks() * self.c)
    }

    /// Launches a kernel that sums blocks of [`CHUNK`] rows, which is its first argument.
    ///
    /// # Safety
    /// As [`Gpu::launch`].
    pub unsafe fn sum<const N: usize>(self, gpu: &Gpu, kernel: &'static str, args: [Arg; N]) -> Result<(), GpuError> {
        let grid = [blocks(self.rows, CHUNK), blocks(self.c, 32), 1];
        // SAFETY: the caller's promise.
        unsafe { gpu.launch(SUMS, kernel, grid, [32, 8, 1], 0, args) }
    }

    /// Launches a kernel that adds up what was found for all blocks.
    ///
    /// # Safety
    /// As [`Gpu::launch`].
    pub unsafe fn finish<const N: usize>(
        self,
        gpu: &Gpu,
        kernel: &'static str,
        args: [Arg; N],
    ) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        unsafe { gpu.launch(SUMS, kernel, [blocks(self.c, 32), 1, 1], [32, 8, 1], 0, args) }
    }
}

/// `sums (c) +=` the sum of the rows of `x`.
pub fn add_column_sums(gpu: &Gpu, x: Slice<'_>, sums: SliceMut<'_>) -> Result<(), GpuError> {
    let columns = ColumnSums { rows: x.len() / sums.len(), c: sums.len() };
    assert_eq!(columns.rows * columns.c, x.len());
    let (rows, c, partial) = (columns.rows, columns.c as i32, columns.partial(gpu, 1)?);
    // SAFETY: `x` has `rows` rows of `c` numbers, `sums` `c`; `partial` has a double for every block and column.
    unsafe {
        columns.sum(gpu, "column_sums", args![CHUNK, rows, c, x, &partial])?;
        columns.finish(gpu, "column_sums_finish", args![columns.chunks(), c, &partial, &sums])
    }
}
