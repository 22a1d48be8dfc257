//! Whole products whose left operand lies in tiles of bf16 numbers: what a micro-kernel that has a form of its own for them
//! reads and writes.
//!
//! # Tiles of rows
//!
//! Rows are cut into blocks of [`BLOCK_ROWS`], their numbers into steps of [`STEP_NUMBERS`]. For each block and step
//! [`STEP_LANES`] lanes follow one another: the step's lanes of the block's first row, of its second one, and so on. What
//! follows the last number of a row, up to a whole step, is zero. Rows after the last one may hold anything.

/// Rows of a block.
pub const BLOCK_ROWS: usize = 32;
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
    /// Rows of single precision, one after the other.
    Rows {
        /// The first row. Nobody else writes the rows.
        y: *mut f32,
        /// What is added in the end, laid out as the rows; it may be the rows themselves.
        residual: Option<*const f32>,
    },
    /// The next product's tiles.
    Tiles {
        /// The tiles, on a line's start.
        to: &'a mut [f32],
        /// Where rows of sums, before the GELU, are kept as well.
        saved: Option<&'a mut [f32]>,
    },
}

/// `left * panels + bias`, through a GELU if asked for.
pub struct TiledProduct<'a> {
    /// Rows of the left operand.
    pub rows: usize,
    /// The left operand's tiles, on a line's start.
    pub left: &'a [f32],
    /// The right operand's panels, on a line's start: `depth` rows of lanes each.
    pub panels: &'a [f32],
    /// Lanes of a column.
    pub depth: usize,
    /// Columns, a multiple of [`COLUMNS`].
    pub columns: usize,
    /// A number for each column.
    pub bias: Option<&'a [f32]>,
    /// Whether a GELU follows.
    pub gelu: bool,
    /// Where results go.
    pub finish: Finish<'a>,
    /// Room for sums, on a line's start: for `rows.div_ceil(BLOCK_ROWS) + 1` blocks of `BLOCK_ROWS * WIDEST`.
    pub scratch: &'a mut [f32],
}
