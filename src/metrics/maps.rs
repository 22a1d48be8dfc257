//! A prediction and its mask, pixel by pixel.

use super::levels::Levels;
use super::min_max::MinMax;

/// What a metric that needs positions is computed from; (H, W), row after row, H and W at least 1.
pub(super) struct Maps<'a> {
    /// The prediction's levels.
    pub(super) prediction: &'a [u8],
    /// The mask's levels.
    pub(super) mask: &'a [u8],
    /// Pixels in a row.
    pub(super) width: usize,
    /// Pixels by level.
    pub(super) levels: &'a Levels,
    /// What each level of the prediction stands for.
    pub(super) min_max: &'a MinMax,
    /// The stretched prediction's mean, rounded as NumPy rounds it.
    pub(super) mean: f64,
}

impl Maps<'_> {
    /// Rows.
    pub(super) fn height(&self) -> usize {
        self.mask.len() / self.width
    }
}
