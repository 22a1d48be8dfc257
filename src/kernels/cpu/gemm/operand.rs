//! What a micro-kernel reads and writes: pointers into the operands of a product and its destination.
//!
//! # Lanes
//!
//! Operands consist of *lanes* of 32 bits. In single precision a lane is one number. In bf16 a lane holds two numbers that
//! are neighbours in depth (the dimension that a product sums over): number `2p` in its low half, number `2p + 1` in its high
//! half, zero where there is none. A product of two lanes is then the sum of two products of numbers. Either way a lane is
//! kept as the bits of an `f32`, and sums are single precision.

/// Vectors of lanes in a row of a panel, and so in a row of a tile.
pub const VECTORS: usize = 2;
/// Lanes in a row of the widest panel of any micro-kernel.
pub const WIDEST: usize = 32;
/// Rows of the highest tile of any micro-kernel.
pub const MOST_ROWS: usize = 32;

/// Where the left operand of a tile lies.
#[derive(Clone, Copy)]
pub enum LeftOperand<'a> {
    /// Row `i` begins at `rows[i]`; the lanes of a run follow one another.
    Rows(&'a [*const f32]),
    /// The operand is transposed: lane `p` of row `i` lies at `first + p * stride + i`.
    Columns { first: *const f32, stride: usize, rows: usize },
}

impl LeftOperand<'_> {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        match *self {
            Self::Rows(rows) => rows.len(),
            Self::Columns { rows, .. } => rows,
        }
    }
}

/// The depth of the left operand, as runs of equal length whose lanes lie side by side. Run `r` begins `shifts[r]` lanes after
/// the place that the left operand gives. In a panel runs follow one another without gaps.
///
/// A linear layer has one run, a convolution one for each tap of its kernel.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    /// Lanes of a run.
    pub run: usize,
    /// Where each run begins, in lanes.
    pub shifts: &'a [isize],
}

impl Runs<'_> {
    /// One run, from the place that the left operand gives.
    pub fn one(run: usize) -> Self {
        Self { run, shifts: &[0] }
    }

    /// Lanes of all runs.
    pub fn depth(self) -> usize {
        self.run * self.shifts.len()
    }

    /// Whether all runs lie within a slice of `length` lanes, where each covers the lanes `from..end` after its shift.
    pub fn lie_in(self, length: usize, from: usize, end: usize) -> bool {
        let inside = |shift: &isize| {
            from.checked_add_signed(*shift).is_some() && end.checked_add_signed(*shift).is_some_and(|end| end <= length)
        };
        self.shifts.iter().all(inside)
    }

    /// Lanes `from..to` of the depth: how many lanes after the left operand's place they begin, and their runs from there.
    /// Several runs are only cut between runs.
    pub fn part(self, from: usize, to: usize) -> (usize, Self) {
        match self.shifts.len() {
            0 | 1 => (from, Self { run: to - from, ..self }),
            _ => (0, Self { shifts: &self.shifts[from / self.run..to / self.run], ..self }),
        }
    }
}

/// The right operand of a tile: rows of a panel.
#[derive(Clone, Copy)]
pub struct PanelRows {
    /// The first row. Rows follow one another.
    pub first: *const f32,
    /// What a later tile will read, to be brought into the cache meanwhile: as many vectors as this tile has lanes of depth.
    /// Nothing is read there, so any address will do.
    pub ahead: *const f32,
}

/// What the sums of a tile start from.
#[derive(Clone, Copy)]
pub enum Initial {
    /// Zero.
    Zero,
    /// The same numbers in each row, as many as a panel is wide.
    Bias(*const f32),
    /// What the destination holds.
    Destination,
}

/// Where a tile is written.
#[derive(Clone, Copy)]
pub struct Destination {
    /// Its first row.
    pub first: *mut f32,
    /// Numbers from a row to the next.
    pub stride: usize,
    /// Vectors that are computed and written in each row, 1 to [`VECTORS`].
    pub vectors: usize,
}
