//! Products whose left operand is bf16 already, written so by whoever makes it: nothing is rounded or packed before them. It lies in
//! [tiles](super::micro::tiled), or in rows. Where the machine's micro-kernel has no such form, [`Packed::takes_tiles`] says so.

use super::driver::{Accumulate, Epilogue};
use super::micro::tiled::{Activation, COLUMNS, Finish, STEP_LANES, STEP_NUMBERS, TiledProduct};
pub use super::micro::tiled::{BLOCK_ROWS, Left, ROW_LANES, RowBlock, TILE_ROWS};
use super::operand::WIDEST;
use super::packed::Packed;
use super::panels::LineBuffer;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::vector::bf16::{round_bf16_rows, round_bf16_steps};
use crate::kernels::cpu::vector::softmax::softmax_exp_tiles;
use crate::kernels::profile::{Kind, scope};
use std::ops::Range;

/// Rows of numbers, rounded to bf16, in tiles.
#[derive(Debug)]
pub struct TiledRows {
    lanes: LineBuffer,
    rows: usize,
    columns: usize,
}

impl TiledRows {
    /// Rows that are multiplied at once: where rows are shared out, a part should be a multiple of them.
    pub const BLOCK: usize = BLOCK_ROWS;

    /// `rows` rows of `columns` numbers, to be written before they are read.
    pub fn new(rows: usize, columns: usize) -> Self {
        let steps = columns.div_ceil(STEP_NUMBERS);
        Self { lanes: LineBuffer::new(rows.div_ceil(BLOCK_ROWS) * steps * STEP_LANES), rows, columns }
    }

    /// The same, all zeros.
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        let mut tiles = Self::new(rows, columns);
        tiles.lanes.fill(0.0);
        tiles
    }

    /// Rows that follow one another, rounded.
    pub fn of(x: &[f32], columns: usize) -> Self {
        let mut tiles = Self::new(x.len() / columns, columns);
        for (i, row) in x.chunks_exact(columns).enumerate() {
            tiles.set(i, row);
        }
        tiles
    }

    /// Rounds a row into its place.
    pub fn set(&mut self, i: usize, row: &[f32]) {
        assert!(i < self.rows && row.len() == self.columns, "row {i} of {}, {} numbers", self.rows, row.len());
        let steps = self.columns.div_ceil(STEP_NUMBERS);
        let block = &mut self.lanes[i / BLOCK_ROWS * steps * STEP_LANES..][..steps * STEP_LANES];
        round_bf16_steps(row, &mut block[i % BLOCK_ROWS * ROW_LANES..], STEP_LANES);
    }

    /// Rounds the numerators of the rows' softmaxes into their places, and gives the inverses of their sums: see
    /// [`softmax_exp_tiles`]. `scores` has the rows' numbers and, up to a whole vector, more of minus infinity.
    pub fn set_softmax(&mut self, scores: &[f32], scale: f32, inverse: &mut [f32]) {
        let (columns, steps) = (self.columns.next_multiple_of(COLUMNS), self.columns.div_ceil(STEP_NUMBERS));
        assert!(inverse.len() == self.rows && scores.len() == self.rows * columns, "rows of scores");
        let blocks = self.lanes.chunks_exact_mut(steps * STEP_LANES).zip(scores.chunks(BLOCK_ROWS * columns));
        for ((block, scores), inverse) in blocks.zip(inverse.chunks_mut(BLOCK_ROWS)) {
            softmax_exp_tiles(scores, columns, scale, (block, STEP_LANES), inverse);
        }
    }
}

/// Rows of numbers, rounded to bf16, one after the other: two numbers to a lane.
#[derive(Debug)]
pub struct HalfRows {
    /// With as much after the last row as a product reads beyond it.
    lanes: Buffer,
    /// Lanes from a row to the next. A whole step of zeros and more follows the last number, so that no product of one row
    /// reads another, whichever columns it takes.
    stride: usize,
    rows: usize,
    columns: usize,
}

impl HalfRows {
    /// `rows` rows of `columns` numbers, to be written before they are read. `columns` is even.
    pub fn new(rows: usize, columns: usize) -> Self {
        assert!(columns.is_multiple_of(2), "{columns} numbers are no whole lanes");
        let stride = (columns.div_ceil(STEP_NUMBERS) + 1) * ROW_LANES;
        let mut lanes = Buffer::new((rows + BLOCK_ROWS) * stride + ROW_LANES);
        lanes[rows * stride..].fill(0.0);
        lanes.chunks_exact_mut(stride).take(rows).for_each(|row| row[columns / 2..].fill(0.0));
        Self { lanes, stride, rows, columns }
    }

    /// Rounds an even count of numbers into a row, from an even column on.
    pub fn set(&mut self, i: usize, column: usize, numbers: &[f32]) {
        assert!(i < self.rows && column + numbers.len() <= self.columns, "within a row");
        assert!(column.is_multiple_of(2) && numbers.len().is_multiple_of(2), "whole lanes");
        let to = &mut self.lanes[i * self.stride + column / 2..][..numbers.len() / 2];
        round_bf16_rows(numbers, numbers.len(), to);
    }

    /// A row's lanes.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        &mut self.lanes[i * self.stride..][..self.columns / 2]
    }

    /// Some columns, an even number from an even one on, of some rows.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> HalfPart<'_> {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "within the rows");
        assert!(columns.start.is_multiple_of(2) && columns.len().is_multiple_of(2), "whole lanes");
        HalfPart {
            lanes: &self.lanes[rows.start * self.stride + columns.start / 2..],
            stride: self.stride,
            to_end: self.stride - columns.start / 2,
            rows: rows.len(),
            columns: columns.len(),
        }
    }
}

/// Some columns of some [`HalfRows`].
#[derive(Clone, Copy, Debug)]
pub struct HalfPart<'a> {
    /// From the first one's to the end of all.
    lanes: &'a [f32],
    /// Lanes from a row to the next.
    stride: usize,
    /// Lanes from a row's first one to the end of the zeros after it.
    to_end: usize,
    rows: usize,
    columns: usize,
}

impl<'a> HalfPart<'a> {
    /// The lanes of a row.
    pub fn row(&self, i: usize) -> &'a [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        &self.lanes[i * self.stride..][..self.columns / 2]
    }

    /// The lanes of all rows.
    pub fn all(&self) -> Vec<&'a [f32]> {
        (0..self.rows).map(|i| self.row(i)).collect()
    }

    /// Some of the rows.
    fn of(self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "within the rows");
        Self { lanes: &self.lanes[rows.start * self.stride..], rows: rows.len(), ..self }
    }

    /// So many rows at a time.
    pub fn chunks(self, rows: usize) -> impl Iterator<Item = Self> {
        (0..self.rows).step_by(rows).map(move |from| self.of(from..self.rows.min(from + rows)))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// A left operand that is bf16 already.
#[derive(Clone, Copy, Debug)]
pub enum HalfOperand<'a> {
    /// In tiles.
    Tiles(&'a TiledRows),
    /// In rows. Of some columns a product also reads those that follow in the same row, up to a whole step. They meet zeros:
    /// where one of them is no finite number, the row's results are none.
    Rows(HalfPart<'a>),
}

impl<'a> From<&'a TiledRows> for HalfOperand<'a> {
    fn from(tiles: &'a TiledRows) -> Self {
        Self::Tiles(tiles)
    }
}

impl<'a> From<HalfPart<'a>> for HalfOperand<'a> {
    fn from(part: HalfPart<'a>) -> Self {
        Self::Rows(part)
    }
}

impl<'a> From<&'a HalfRows> for HalfOperand<'a> {
    fn from(rows: &'a HalfRows) -> Self {
        Self::Rows(rows.part(0..rows.rows, 0..rows.columns))
    }
}

impl HalfOperand<'_> {
    /// How many rows, and numbers in a row, it has.
    fn size(&self) -> [usize; 2] {
        match *self {
            Self::Tiles(TiledRows { rows, columns, .. }) => [*rows, *columns],
            Self::Rows(HalfPart { rows, columns, .. }) => [rows, columns],
        }
    }
}

impl Packed {
    /// Whether a left operand may be bf16 already, in tiles or in rows: the micro-kernel has a function for them, and the size is one that it computes.
    pub fn takes_tiles(&self) -> bool {
        let fits = self.columns().is_multiple_of(COLUMNS) && self.columns() > 0 && self.inputs() > 0;
        // (as do columns of one run: see `from_runs`)
        let one_run = self.left_depth() == self.lanes_in(self.inputs());
        fits && one_run && self.kernel().tiled.is_some()
    }
}

/// `finish(activation(x factor + bias))`.
///
/// # Safety
/// Destination, residual and what is saved have the rows of `x`, of as many columns as the factor.
unsafe fn run(x: HalfOperand<'_>, factor: &Packed, bias: Option<&[f32]>, activation: Activation, finish: Finish<'_>) {
    let [rows, columns] = x.size();
    assert_eq!(columns, factor.inputs(), "inner dimensions of a product");
    let count = columns.div_ceil(STEP_NUMBERS);
    let (lanes, row, block, step) = match x {
        HalfOperand::Tiles(tiles) => (&*tiles.lanes, ROW_LANES, count * STEP_LANES, STEP_LANES),
        HalfOperand::Rows(part) => {
            assert!(count * ROW_LANES <= part.to_end, "a row's steps end before the next row");
            (part.lanes, part.stride, BLOCK_ROWS * part.stride, ROW_LANES)
        }
    };
    let steps: Vec<usize> = (0..count).map(|s| s * step).collect();
    let blocks = (0..rows.div_ceil(BLOCK_ROWS)).map(|i| {
        let first = i * BLOCK_ROWS;
        RowBlock { start: i * block, row: first, rows: BLOCK_ROWS.min(rows - first) }
    });
    let left = Left { lanes, row, steps: &steps, blocks: &blocks.collect::<Vec<_>>() };
    // SAFETY: the blocks are the rows of `x`, in their order, for which the caller promises.
    unsafe { run_blocks(left, factor, bias, activation, finish) };
}

/// The same for blocks of rows anywhere.
///
/// # Safety
/// Destination, residual and what is saved have all of the blocks' rows, of as many columns as the factor; of tiles, block `i`
/// begins with row `i * BLOCK_ROWS`.
unsafe fn run_blocks(
    left: Left<'_>,
    factor: &Packed,
    bias: Option<&[f32]>,
    activation: Activation,
    finish: Finish<'_>,
) {
    let kernel = factor.kernel();
    let (true, Some(function)) = (factor.takes_tiles(), kernel.tiled) else {
        unreachable!("the caller asks `takes_tiles` first");
    };
    assert_eq!(left.steps.len(), factor.left_depth().div_ceil(ROW_LANES), "steps of a product");
    // (saturating: no sum of large numbers passes for a small one)
    let furthest = left.steps.iter().max().copied().unwrap_or(0).saturating_add(ROW_LANES);
    for block in left.blocks {
        assert!((1..=BLOCK_ROWS).contains(&block.rows), "rows of a block");
        let last = left.row.saturating_mul(block.rows.next_multiple_of(TILE_ROWS) - 1);
        let end = block.start.saturating_add(last).saturating_add(furthest);
        assert!(end <= left.lanes.len(), "a block's lanes");
    }
    assert!(bias.is_none_or(|bias| bias.len() == factor.columns()), "size of a bias");
    let mut scratch = LineBuffer::new((left.blocks.len() + 1) * BLOCK_ROWS * WIDEST);
    // Nothing below waits for the thread pool: see `driver`.
    // SAFETY: the factor is packed for a micro-kernel that this machine can run, and no other product is being computed on this
    // thread. The left operand's blocks lie within its lanes, panels hold all columns, and the bias was checked; the rest is the
    // caller's promise.
    unsafe {
        let _state = kernel.prepare_thread();
        function(TiledProduct {
            left,
            panels: factor.panels(),
            depth: factor.left_depth(),
            columns: factor.columns(),
            bias,
            activation,
            finish,
            scratch: &mut scratch,
        });
    }
}

/// What a product is for these: its bias and activation, and that it goes to rows of `y`.
fn to_rows<'a>(
    accumulate: Accumulate<'a>,
    epilogue: Epilogue<'_>,
    columns: usize,
    y: &mut [f32],
) -> (Option<&'a [f32]>, Activation, Finish<'a>) {
    let (activation, residual) = match epilogue {
        Epilogue::None => (Activation::None, None),
        Epilogue::Relu => (Activation::Relu, None),
        Epilogue::Gelu => (Activation::Gelu, None),
        Epilogue::Add(residual) => (Activation::None, Some(residual)),
        Epilogue::GeluAdd(residual) => (Activation::Gelu, Some(residual)),
    };
    assert!(residual.is_none_or(|residual| residual.len() == y.len()), "size of a residual");
    let (y, residual) = (y.as_mut_ptr(), residual.map(<[f32]>::as_ptr));
    let (bias, residual) = match accumulate {
        Accumulate::Overwrite => (None, residual),
        Accumulate::Bias(bias) => (Some(bias), residual),
        Accumulate::Add => {
            let plain = activation == Activation::None && residual.is_none();
            assert!(plain, "what is added to comes after an epilogue");
            (None, Some(y.cast_const()))
        }
    };
    (bias, activation, Finish::Rows { y, residual, stride: columns })
}

/// `y = epilogue(accumulate + x factor)`, in single precision.
pub fn tiled_product<'x>(
    x: impl Into<HalfOperand<'x>>,
    factor: &Packed,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let x = x.into();
    let [rows, _] = x.size();
    assert_eq!(y.len(), rows * factor.columns(), "size of a product");
    let (bias, activation, finish) = to_rows(accumulate, epilogue, factor.columns(), y);
    // SAFETY: `y` was checked, and the residual is as long.
    unsafe { run(x, factor, bias, activation, finish) };
}

/// The same for blocks of rows that lie anywhere. They are the rows of `y`, each in one block.
pub fn tiled_product_of_blocks(
    left: Left<'_>,
    factor: &Packed,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let rows: usize = left.blocks.iter().map(|block| block.rows).sum();
    assert_eq!(y.len(), rows * factor.columns(), "size of a product");
    let within = left.blocks.iter().all(|block| block.row.saturating_add(block.rows) <= rows);
    assert!(within, "rows of a block, among those of a product");
    let (bias, activation, finish) = to_rows(accumulate, epilogue, factor.columns(), y);
    // SAFETY: the blocks' rows are within those of `y`, and the residual is as long.
    unsafe { run_blocks(left, factor, bias, activation, finish) };
}

/// `y = epilogue(x w^T + bias)` for rows that are bf16; see [`linear`](super::linear::linear).
pub fn tiled_linear<'x>(
    x: impl Into<HalfOperand<'x>>,
    weight: &Packed,
    bias: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let _work = scope(Kind::Linear, 2 * y.len() * weight.inputs());
    tiled_product(x, weight, Accumulate::Bias(bias), epilogue, y);
}

/// `x w^T + bias`, rounded to bf16 as it is written.
pub fn tiled_linear_halves(x: &TiledRows, weight: &Packed, bias: &[f32]) -> HalfRows {
    let _work = scope(Kind::Linear, 2 * x.rows * weight.columns() * weight.inputs());
    let mut y = HalfRows::new(x.rows, weight.columns());
    let finish = Finish::Halves { to: y.lanes.as_mut_ptr(), stride: y.stride };
    // SAFETY: `y` has as many rows as `x`, of the weight's columns.
    unsafe { run(x.into(), weight, Some(bias), Activation::None, finish) };
    y
}

/// `gelu(x w^T + bias)` as the next layer's tiles; the input of the GELU is saved if asked for. The GELU is within 5e-5.
pub fn tiled_linear_gelu(x: &TiledRows, weight: &Packed, bias: &[f32], saved: Option<&mut [f32]>) -> TiledRows {
    let _work = scope(Kind::Linear, 2 * x.rows * weight.columns() * weight.inputs());
    let mut y = TiledRows::new(x.rows, weight.columns());
    assert!(saved.as_ref().is_none_or(|saved| saved.len() == x.rows * weight.columns()), "size of what is saved");
    // SAFETY: so have the tiles of `y`, and what is saved was checked.
    unsafe { run(x.into(), weight, Some(bias), Activation::Gelu, Finish::Tiles { to: &mut y.lanes, saved }) };
    y
}
