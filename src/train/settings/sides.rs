//! The sides that a run may choose from.

use crate::nn::shape::SIDES;

/// Sides are multiples of this.
pub(super) const SIDE_UNIT: usize = 32;

/// The two sides nearest to one that there is not.
pub(super) fn nearest_sides(size: usize) -> (usize, usize) {
    let below = (size / SIDE_UNIT * SIDE_UNIT).clamp(SIDES[0], largest_side() - SIDE_UNIT);
    (below, below + SIDE_UNIT)
}

/// The largest side there is.
pub(super) fn largest_side() -> usize {
    SIDES[SIDES.len() - 1]
}
