//! Training at two sides.

/// The second scale of multi-scale training, of the first (paper, section 4.1).
pub const LARGER_SCALE: f64 = 1.25;

/// How multi-scale training draws its sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiScale {
    /// One side.
    #[default]
    Off,
    /// Each batch at the side or at 1.25 times the side, drawn from seed, epoch and batch.
    Random,
    /// Each batch at both, an update each.
    Both,
}
