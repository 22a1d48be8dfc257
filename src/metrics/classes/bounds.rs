//! A box of pixels.

use std::ops::Range;

/// The smallest box of pixels around those that were included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Bounds {
    /// Widens the box, so that it holds these columns, at least one, of a row. Rows come from top to bottom.
    pub(super) fn include(&mut self, row: usize, columns: Range<usize>) {
        if self.rows.is_empty() {
            *self = Self { rows: row..row + 1, columns };
        } else {
            self.rows.end = row + 1;
            self.columns = self.columns.start.min(columns.start)..self.columns.end.max(columns.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_included() {
        let mut bounds = Bounds::default();
        assert!(bounds.rows.is_empty());
        for (row, columns) in [(2, 5..7), (2, 9..10), (4, 1..2)] {
            bounds.include(row, columns);
        }
        assert_eq!(bounds, Bounds { rows: 2..5, columns: 1..10 });
    }
}
