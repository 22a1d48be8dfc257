//! Linear layers whose input lies in [tiles](super::micro::tiled) of bf16 numbers, written there by whoever makes it: no
//! product rounds or packs what it reads. Where the machine's micro-kernel has no such form, [`Packed::takes_tiles`] says so.

use super::driver::{Accumulate, Epilogue};
use super::micro::tiled::{BLOCK_ROWS, COLUMNS, Finish, ROW_LANES, STEP_LANES, STEP_NUMBERS, TiledProduct};
use super::operand::WIDEST;
use super::packed::Packed;
use super::panels::LineBuffer;
use crate::kernels::cpu::vector::bf16::round_bf16_steps;
use crate::kernels::cpu::vector::softmax::softmax_exp_tiles;
use crate::kernels::profile::{Kind, scope};

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

impl Packed {
    /// Whether a left operand may lie in tiles: the micro-kernel has a function for them, and the size is one that it computes.
    pub fn takes_tiles(&self) -> bool {
        let fits = self.columns().is_multiple_of(COLUMNS) && self.columns() > 0 && self.inputs() > 0;
        // (as do columns of one run: see `from_runs`)
        let one_run = self.left_depth() == self.lanes_in(self.inputs());
        fits && one_run && self.kernel().tiled.is_some()
    }
}

/// `finish(gelu(x factor + bias))`.
fn run(x: &TiledRows, factor: &Packed, bias: Option<&[f32]>, gelu: bool, finish: Finish<'_>) {
    let kernel = factor.kernel();
    let (true, Some(function)) = (factor.takes_tiles(), kernel.tiled) else {
        unreachable!("the caller asks `takes_tiles` first");
    };
    assert_eq!(x.columns, factor.inputs(), "inner dimensions of a product");
    assert!(bias.is_none_or(|bias| bias.len() == factor.columns()), "size of a bias");
    let mut scratch = LineBuffer::new((x.rows.div_ceil(BLOCK_ROWS) + 1) * BLOCK_ROWS * WIDEST);
    // Nothing below waits for the thread pool: see `driver`.
    // SAFETY: the factor is packed for a micro-kernel that this machine can run, and no other product is being computed on this
    // thread. Tiles hold the rows' lanes, panels all columns; the bias was checked here, destination and residual by the two
    // callers.
    unsafe {
        let _state = kernel.prepare_thread();
        function(TiledProduct {
            rows: x.rows,
            left: &x.lanes,
            panels: factor.panels(),
            depth: factor.left_depth(),
            columns: factor.columns(),
            bias,
            gelu,
            finish,
            scratch: &mut scratch,
        });
    }
}

/// `y = epilogue(accumulate + x factor)`, in single precision. Of epilogues all but the ReLU.
pub fn tiled_product(
    x: &TiledRows,
    factor: &Packed,
    accumulate: Accumulate<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    assert_eq!(y.len(), x.rows * factor.columns(), "size of a product");
    let y_start = y.as_mut_ptr();
    let (gelu, residual) = match epilogue {
        Epilogue::None => (false, None),
        Epilogue::Gelu => (true, None),
        Epilogue::Add(residual) => (false, Some(residual)),
        Epilogue::GeluAdd(residual) => (true, Some(residual)),
        Epilogue::Relu => unreachable!("no linear layer has one"),
    };
    assert!(residual.is_none_or(|residual| residual.len() == x.rows * factor.columns()), "size of a residual");
    let residual = residual.map(<[f32]>::as_ptr);
    let (bias, residual) = match accumulate {
        Accumulate::Overwrite => (None, residual),
        Accumulate::Bias(bias) => (Some(bias), residual),
        Accumulate::Add => {
            assert!(!gelu && residual.is_none(), "what is added to comes after an epilogue");
            (None, Some(y_start.cast_const()))
        }
    };
    run(x, factor, bias, gelu, Finish::Rows { y: y_start, residual });
}

/// `y = epilogue(x w^T + bias)` for rows in tiles; see [`linear`](super::linear::linear).
pub fn tiled_linear(x: &TiledRows, weight: &Packed, bias: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let _work = scope(Kind::Linear, 2 * y.len() * weight.inputs());
    tiled_product(x, weight, Accumulate::Bias(bias), epilogue, y);
}

/// `gelu(x w^T + bias)` as the next layer's tiles; the input of the GELU is saved if asked for. The GELU is within 5e-5.
pub fn tiled_linear_gelu(x: &TiledRows, weight: &Packed, bias: &[f32], saved: Option<&mut [f32]>) -> TiledRows {
    let _work = scope(Kind::Linear, 2 * x.rows * weight.columns() * weight.inputs());
    let mut y = TiledRows::new(x.rows, weight.columns());
    assert!(saved.as_ref().is_none_or(|saved| saved.len() == x.rows * weight.columns()), "size of what is saved");
    run(x, weight, Some(bias), true, Finish::Tiles { to: &mut y.lanes, saved });
    y
}
