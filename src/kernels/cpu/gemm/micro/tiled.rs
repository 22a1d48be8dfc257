//! Whole products whose left operand is bf16 already: what a micro-kernel that has a form of its own for them reads and writes.
//!
//! Rows are multiplied in blocks of up to [`BLOCK_ROWS`], each in steps of [`STEP_NUMBERS`]. [`Left`] says where they lie: in tiles,
//! or anywhere at equal distances, as tokens' rows and a map's pixels do.
//!
//! # Tiles of rows
//!
//! Rows are cut into blocks of [`BLOCK_ROWS`], their numbers into steps of [`STEP_NUMBERS`]. For each block and step
//! [`STEP_LANES`] lanes follow one another: the step's lanes of the block's first row, of its second one, and so on. What
//! follows the last number of a row, up to a whole step, is zero. Rows after the last one may hold anything.

/// Rows of a block.
pub const BLOCK_ROWS: usize = 32;
/// Rows are read so many at a time: a block reads a multiple of them.
pub const TILE_ROWS: usize = BLOCK_ROWS / 2;
/// Numbers of a row in a step: two to a lane.
pub const STEP_NUMBERS: usize = 32;
/// Lanes of a row in a step.
pub const ROW_LANES: usize = STEP_NUMBERS / 2;
/// Lanes of a block in a step.
pub const STEP_LANES: usize = BLOCK_ROWS * ROW_LANES;
/// Columns are computed so many at a time: a product has a multiple of them.
pub const COLUMNS: usize = 16;
/// Numbers on a line of the cache: what tiles and panels begin at.
pub const LINE: usize = 16;

/// Where results go, and what is done to them on the way.
pub enum Finish<'a> {
    /// Rows of single precision.
    Rows {
        /// The first row. Nobody else writes the rows.
        y: *mut f32,
        /// What is added in the end, laid out as the rows; it may be the rows themselves.
        residual: Option<*const f32>,
        /// Numbers from a row to the next.
        stride: usize,
    },
    /// Rows rounded to bf16, two numbers to a lane.
    Halves {
        /// The first row. Nobody else writes the rows.
        to: *mut f32,
        /// Lanes from a row to the next.
        stride: usize,
    },
    /// The next product's tiles, block by block.
    Tiles {
        /// The tiles, on a line's start.
        to: &'a mut [f32],
        /// Where rows of sums, before the GELU, are kept as well, one after the other.
        saved: Option<&'a mut [f32]>,
    },
}

/// What is applied to sums before a residual is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    None,
    Gelu,
    /// In rows of single precision without a residual.
    Relu,
}

/// Some rows of a left operand, multiplied together.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock {
    /// Where the first one begins, in lanes.
    pub start: usize,
    /// Which row of the result it is. (Of tiles, block `i` begins with row `i * BLOCK_ROWS`.)
    pub row: usize,
    /// How many there are, at most [`BLOCK_ROWS`].
    pub rows: usize,
}

/// Where a left operand lies.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// From a block's start and the start of each step, as many rows can be read as the block has, up to a multiple of
    /// [`TILE_ROWS`], of [`ROW_LANES`] each. Rows that the block does not have may hold anything.
    pub lanes: &'a [f32],
    /// Lanes from a row to the next.
    pub row: usize,
    /// Where each step of the depth begins, in lanes from the row's start. Numbers of a step beyond the depth meet zeros: where
    /// one of them is not finite, the row's results are NaN.
    pub steps: &'a [usize],
    pub blocks: &'a [RowBlock],
}

/// `left * panels + bias`, through an activation.
pub struct TiledProduct<'a> {
    pub left: Left<'a>,
    /// The right operand's panels, on a line's start: `depth` rows of lanes each.
    pub panels: &'a [f32],
    /// Lanes of a column.
    pub depth: usize,
    /// Columns, a multiple of [`COLUMNS`].
    pub columns: usize,
    /// A number for each column.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    pub finish: Finish<'a>,
    /// Room for sums, on a line's start: for one more than as many blocks of `BLOCK_ROWS * WIDEST`.
    pub scratch: &'a mut [f32],
}
