//! Computes products tile by tile: chooses each micro-kernel's part of the operands and applies the epilogue to its tile.

use super::operand::{Destination, Initial, LeftOperand, MOST_ROWS, PanelRows, Runs, WIDEST};
use super::packed::Packed;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::vector::bf16::widen_bf16_rows;
use crate::kernels::cpu::vector::rows::{Rows, add_rows, gelu_add_rows, gelu_rows, relu_rows};
use std::cmp::Ordering;
use std::ops::Range;

/// The depth of a product is cut into slabs of this many lanes at least, where there are as many, and less than twice as many.
/// So much of a panel stays in the first caches, and the sum of slabs' sums is rounded less than one long sum.
pub(super) const DEPTH: usize = 192;

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Accumulate<'a> {
    /// Nothing: the product replaces what the destination holds.
    Overwrite,
    /// A bias, one number for each column; the sum replaces what the destination holds.
    Bias(&'a [f32]),
    /// What the destination holds.
    Add,
}

/// What is done to the numbers `y` of a tile while they are still in the cache. Residuals are laid out as the destination.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// `max(y, 0)`.
    Relu,
    /// `gelu(y)`.
    Gelu,
    /// `y + residual`.
    Add(&'a [f32]),
    /// `gelu(y) + residual`.
    GeluAdd(&'a [f32]),
}

impl Epilogue<'_> {
    /// Applies it to a tile of `columns` columns that covers numbers `at` of the destination `y`.
    #[inline]
    fn apply(self, y: &mut [f32], at: Range<usize>, stride: usize, columns: usize) {
        let tile = Rows { y: &mut y[at.clone()], stride, columns };
        match self {
            Self::None => {}
            Self::Relu => relu_rows(tile),
            Self::Gelu => gelu_rows(tile),
            Self::Add(residual) => add_rows(tile, &residual[at]),
            Self::GeluAdd(residual) => gelu_add_rows(tile, &residual[at]),
        }
    }
}

/// `y = epilogue(accumulate + rows * factor)`: rows of the left operand, which may lie anywhere, times a packed matrix.
///
/// A row has as many lanes as [`Packed::left_matrix`] or [`Packed::left_rows`] gives it. They meet the factor's rows from
/// `skip` on, counted in lanes of the left operand, and no others. `y` holds `factor.columns()` numbers for each row.
pub fn product(
    rows: &[&[f32]],
    factor: &Packed,
    skip: usize,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let depth = rows.first().map_or(0, |r| r.len());
    assert!(rows.iter().all(|r| r.len() == depth), "rows of one length");
    let part = (Runs::one(depth), skip);
    let output = Output { y, stride: factor.columns() };
    run(LeftSource::Rows(rows), rows.len(), factor, part, accumulate, epilogue, output);
}

/// The same as [`product`] for rows of `columns` lanes that follow one another.
pub fn matrix_product(
    x: &[f32],
    columns: usize,
    factor: &Packed,
    skip: usize,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let rows = x.len() / columns;
    assert_eq!(x.len(), rows * columns, "whole rows");
    let part = (Runs::one(columns), skip);
    let output = Output { y, stride: factor.columns() };
    run(LeftSource::Matrix(x, columns), rows, factor, part, accumulate, epilogue, output);
}

/// The same as [`product`] for rows that consist of runs of `lanes`: run `r` of row `i` begins at `starts[i] + shifts[r]`. All
/// runs together are as deep as the factor.
pub fn product_of_runs(
    (lanes, starts): (&[f32], &[usize]),
    runs: Runs<'_>,
    factor: &Packed,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    assert_eq!(runs.depth(), factor.left_depth(), "inner dimensions of a product");
    let (first, last) = (starts.iter().min().copied().unwrap_or(0), starts.iter().max().copied().unwrap_or(0));
    assert!(starts.is_empty() || runs.lie_in(lanes.len(), first, last + runs.run), "runs within the lanes");
    let output = Output { y, stride: factor.columns() };
    run(LeftSource::Starts(lanes, starts), starts.len(), factor, (runs, 0), accumulate, epilogue, output);
}

/// `y = accumulate + left^T * factor`. `left` has as many rows as the factor ([`Packed::left_transposed`]), of which the first
/// `rows` lanes count. `y` has `rows` rows of `stride` numbers, of which the first `factor.columns()` are written.
pub fn transposed_product(
    left: &[f32],
    rows: usize,
    factor: &Packed,
    accumulate: Accumulate<'_>,
    stride: usize,
    y: &mut [f32],
) {
    let depth = factor.left_depth();
    let width = left.len().checked_div(depth).unwrap_or(rows);
    assert!(left.len() == width * depth && width >= rows, "inner dimensions of a product");
    let (source, part) = (LeftSource::Columns(left, width), (Runs::one(depth), 0));
    run(source, rows, factor, part, accumulate, Epilogue::None, Output { y, stride });
}

/// `y += left^T * factor` for the factor's rows from `skip` on, as many as the runs have lanes. Lane `p` of run `r` of the
/// transposed operand is the row of `width` lanes that begins at `shifts[r] + p * width` of `left`; its first `rows` lanes
/// count.
pub fn add_transposed_runs(
    (left, width): (&[f32], usize),
    rows: usize,
    runs: Runs<'_>,
    (factor, skip): (&Packed, usize),
    y: &mut [f32],
) {
    let end = (runs.run.max(1) - 1) * width + rows;
    assert!(runs.depth() == 0 || runs.lie_in(left.len(), 0, end), "runs within the lanes");
    let output = Output { y, stride: factor.columns() };
    run(LeftSource::Columns(left, width), rows, factor, (runs, skip), Accumulate::Add, Epilogue::None, output);
}

/// Cuts a matrix into its rows.
pub fn rows_of(matrix: &[f32], columns: usize) -> Vec<&[f32]> {
    matrix.chunks_exact(columns).collect()
}

/// The left operand of a whole product, in lanes.
#[derive(Clone, Copy)]
enum LeftSource<'a> {
    /// Rows anywhere.
    Rows(&'a [&'a [f32]]),
    /// Rows of so many lanes that follow one another.
    Matrix(&'a [f32], usize),
    /// Rows that begin at these lanes.
    Starts(&'a [f32], &'a [usize]),
    /// The transpose of rows of so many lanes that follow one another.
    Columns(&'a [f32], usize),
}

impl<'a> LeftSource<'a> {
    /// Rows `rows` of it, from lane `offset` of their depth on, of which `depth` are read. Where rows are read by pointers
    /// these are written to `pointers`.
    #[inline(always)]
    fn tile<'p>(
        self,
        rows: Range<usize>,
        (offset, depth): (usize, usize),
        pointers: &'p mut [*const f32; MOST_ROWS],
    ) -> LeftOperand<'p> {
        let pointers = &mut pointers[..rows.len()];
        match self {
            Self::Rows(slices) => {
                for (pointer, row) in pointers.iter_mut().zip(&slices[rows]) {
                    *pointer = row[offset..offset + depth].as_ptr();
                }
            }
            Self::Matrix(lanes, row_length) => {
                for (row, pointer) in rows.zip(pointers.iter_mut()) {
                    *pointer = lanes.as_ptr().wrapping_add(row * row_length + offset);
                }
            }
            Self::Starts(lanes, starts) => {
                for (pointer, start) in pointers.iter_mut().zip(&starts[rows]) {
                    *pointer = lanes.as_ptr().wrapping_add(start + offset);
                }
            }
            Self::Columns(left, width) => {
                let first = left.as_ptr().wrapping_add(offset * width + rows.start);
                return LeftOperand::Columns { first, stride: width, rows: rows.len() };
            }
        }
        LeftOperand::Rows(pointers)
    }
}

/// Where a product is written: rows that begin `stride` numbers apart.
struct Output<'a> {
    y: &'a mut [f32],
    stride: usize,
}

/// Cuts the depth into slabs of [`DEPTH`] lanes or more: gives where each begins, the end of the last one, then nothing.
/// Slabs begin at multiples of `step`. Several runs are only cut between runs.
fn slab_starts(runs: Runs<'_>, step: usize) -> impl Fn(usize) -> Option<usize> {
    let (run, depth, count) = (runs.run, runs.depth(), runs.shifts.len());
    let slabs = match count {
        0 | 1 => depth / DEPTH,
        _ => count / DEPTH.div_ceil(run.max(1)),
    };
    let slabs = slabs.max(1);
    move |slab| match slab.cmp(&slabs) {
        Ordering::Greater => None,
        Ordering::Equal => Some(depth),
        Ordering::Less if count > 1 => Some(slab * count / slabs * run),
        Ordering::Less => Some(slab * depth / slabs / step * step),
    }
}

/// Every product: slab by slab, panel by panel, tile by tile.
fn run(
    left: LeftSource<'_>,
    rows: usize,
    factor: &Packed,
    (runs, skip): (Runs<'_>, usize),
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    Output { y, stride }: Output<'_>,
) {
    let (kernel, columns, depth) = (factor.kernel(), factor.columns(), runs.depth());
    if rows == 0 || columns == 0 {
        return;
    }
    let (lanes, width) = (kernel.lanes, kernel.panel_width());
    let per_lane = factor.left_lanes_per_lane();
    assert!(skip + depth <= factor.left_depth(), "rows up to {} of {}", skip + depth, factor.left_depth());
    assert!(per_lane == 1 || (skip == 0 && runs.shifts.len() == 1), "widened panels are read from their first row on");
    assert!(y.len() >= (rows - 1) * stride + columns, "size of a product");
    if let Accumulate::Bias(bias) = accumulate {
        assert_eq!(bias.len(), columns, "size of a bias");
    }
    // Nothing below may wait for the thread pool: this thread could compute another product meanwhile, and its state is one.
    // SAFETY: operands are packed for micro-kernels that this machine can run, and no other product is being computed on this
    // thread.
    let _state = unsafe { kernel.prepare_thread() };
    let mut pointers = [std::ptr::null(); MOST_ROWS];
    let mut edge = None;
    let starts = slab_starts(runs, kernel.depth_step * per_lane);
    let mut wide = Buffer::default();
    let mut slab = 0;
    while let [Some(from), Some(to), after] = [slab, slab + 1, slab + 2].map(&starts) {
        slab += 1;
        let (offset, part) = runs.part(from, to);
        for j in 0..columns.div_ceil(width) {
            let panel = factor.panel(j, skip + from, skip + to);
            let panel = match per_lane {
                1 => panel,
                _ => {
                    if wide.len() < per_lane * panel.len() {
                        wide = Buffer::new(per_lane * panel.len());
                    }
                    widen_bf16_rows(panel, width, &mut wide);
                    &wide
                }
            };
            let here = width.min(columns - j * width);
            let vectors = here.div_ceil(lanes);
            let mut bias = [0.0; WIDEST];
            let initial = match accumulate {
                _ if from > 0 => Initial::Destination,
                Accumulate::Overwrite => Initial::Zero,
                Accumulate::Bias(numbers) => {
                    bias[..here].copy_from_slice(&numbers[j * width..][..here]);
                    Initial::Bias(bias.as_ptr())
                }
                Accumulate::Add => Initial::Destination,
            };
            // What the tiles after these read first. Each tile brings a vector for each of its lanes: half as many rows.
            let next = match (j + 1) * width < columns {
                true => factor.panel(j + 1, skip + from, skip + to),
                false => factor.panel(0, skip + to, skip + after.unwrap_or(to)),
            };
            let mut ahead = next.chunks(((to - from) * lanes).max(1));
            for tile_rows in kernel.cut_rows(rows) {
                let (i, count) = (tile_rows.start, tile_rows.len());
                let left = left.tile(tile_rows, (offset, part.depth()), &mut pointers);
                let start = i * stride + j * width;
                // Where the last panel's columns are no whole number of vectors, a tile is computed in a buffer.
                let whole = here == vectors * lanes;
                let (to_tile, tile_stride): (&mut [f32], usize) = if whole {
                    (&mut y[start..start + (count - 1) * stride + here], stride)
                } else {
                    let edge = edge.get_or_insert([0.0; MOST_ROWS * WIDEST]);
                    if matches!(initial, Initial::Destination) {
                        for (edge, y) in edge.chunks_exact_mut(WIDEST).zip(y[start..].chunks(stride)).take(count) {
                            edge[..here].copy_from_slice(&y[..here]);
                        }
                    }
                    (edge, WIDEST)
                };
                let panel =
                    PanelRows { first: panel.as_ptr(), ahead: ahead.next().map_or(panel.as_ptr(), <[f32]>::as_ptr) };
                let destination = Destination { first: to_tile.as_mut_ptr(), stride: tile_stride, vectors };
                // SAFETY: the machine has the micro-kernel's instruction set, and the thread was prepared above. The left
                // operand: its pointers are those of rows checked to hold `to - from` lanes; or of rows, or runs from
                // starts, that `matrix_product` and `product_of_runs` assert to lie within the lanes; or
                // `transposed_product` and `add_transposed_runs` assert that there are at least `rows` lanes for each of the
                // factor's rows. The panel was sliced, or widened, to `to - from` rows of its width at least; the bias is as
                // wide as any panel; and `to_tile` is a slice borrowed here alone, whose last row has `vectors * lanes`
                // numbers.
                unsafe { (kernel.tile)(part, left, panel, initial, destination) };
                if let (false, Some(edge)) = (whole, &edge) {
                    for (edge, y) in edge.chunks_exact(WIDEST).zip(y[start..].chunks_mut(stride)).take(count) {
                        y[..here].copy_from_slice(&edge[..here]);
                    }
                }
                if to == depth {
                    epilogue.apply(y, start..start + (count - 1) * stride + here, stride, here);
                }
            }
        }
    }
}
