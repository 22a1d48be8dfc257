//! Pixels that are in or out.

use super::bounds::Bounds;

/// Pixels that are in (1) or out (0), (H, W), row after row. What lies beyond is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) width: usize,
    pub(super) pixels: Vec<u8>,
}

impl Region {
    /// The pixels of an image within `bounds` for which `is_in` says yes, by their number.
    pub(super) fn within(bounds: &Bounds, width: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let mut pixels = Vec::with_capacity(bounds.rows.len() * bounds.columns.len());
        for y in bounds.rows.clone() {
            let row = y * width + bounds.columns.start..y * width + bounds.columns.end;
            pixels.extend(row.map(|at| u8::from(is_in(at))));
        }
        Self { width: bounds.columns.len(), pixels }
    }

    /// Whether no pixel is in.
    pub(super) fn is_empty(&self) -> bool {
        !self.pixels.contains(&1)
    }
}
