//! The sizes of attention, and the order of its results in memory.

use super::windows::Windows;
use crate::kernels::extent::Extent;

/// The sizes of attention over a batch of maps.
#[derive(Clone, Copy)]
pub struct AttentionShape {
    /// The map of keys and values, in tokens.
    pub extent: Extent,
    /// Side of a window in tokens; 0 for the whole map.
    pub window: usize,
    /// Number of heads.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
    /// Whether queries are pooled 2x2.
    pub pool: bool,
}

/// The part of the results that belongs to one window and head, and which ones these are.
pub(super) struct Piece<'d> {
    pub image: usize,
    pub window: usize,
    pub head: usize,
    pub data: &'d mut [f32],
}

impl AttentionShape {
    /// Channels of all heads.
    pub fn channels(&self) -> usize {
        self.heads * self.dim
    }

    /// The map of queries, in tokens.
    pub fn query_extent(&self) -> Extent {
        if self.pool { self.extent.halved() } else { self.extent }
    }

    /// The windows over the map of keys and values.
    pub fn windows(&self) -> Windows {
        Windows::new(self.extent, self.window)
    }

    /// The same windows over the queries' map.
    pub fn query_windows(&self) -> Windows {
        if self.pool { self.windows().pooled() } else { self.windows() }
    }

    /// The order of results that belong to queries.
    pub fn query_order(&self) -> WindowOrder {
        WindowOrder { windows: self.query_windows(), heads: self.heads, dim: self.dim }
    }

    /// The order of results that belong to keys and values.
    pub fn key_order(&self) -> WindowOrder {
        WindowOrder { windows: self.windows(), heads: self.heads, dim: self.dim }
    }

    /// Cuts `data` (all maps in window order, `row` numbers per token and head) by map, window and head.
    pub(super) fn pieces<'d>(&self, windows: Windows, mut data: &'d mut [f32], row: usize) -> Vec<Piece<'d>> {
        let mut pieces = Vec::new();
        let mut image = 0;
        while !data.is_empty() {
            for window in 0..windows.count() {
                let length = windows.get(window).tokens() * row;
                for head in 0..self.heads {
                    let (piece, rest) = data.split_at_mut(length);
                    pieces.push(Piece { image, window, head, data: piece });
                    data = rest;
                }
            }
            image += 1;
        }
        pieces
    }
}

/// The order of results: by window, then head, then token.
#[derive(Clone, Copy)]
pub struct WindowOrder {
    windows: Windows,
    heads: usize,
    dim: usize,
}

impl WindowOrder {
    /// Where the `parts * dim` numbers of token `(y, x)` begin, head by head.
    pub fn starts(&self, parts: usize, y: usize, x: usize) -> impl Iterator<Item = usize> {
        let (position, step) = (self.windows.position(y, x), parts * self.dim);
        let heads = self.heads;
        (0..heads).map(move |head| (position.before * heads + head * position.tokens + position.at) * step)
    }

    /// Reads a token's row of `heads * parts * dim` numbers, as `parts` runs of `heads * dim` (the order of the
    /// projections' rows).
    pub fn gather(&self, data: &[f32], parts: usize, y: usize, x: usize, row: &mut [f32]) {
        for (head, start) in self.starts(parts, y, x).enumerate() {
            for part in 0..parts {
                let to = (part * self.heads + head) * self.dim;
                row[to..to + self.dim].copy_from_slice(&data[start + part * self.dim..][..self.dim]);
            }
        }
    }
}
