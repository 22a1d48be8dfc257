//! Rows of a table, aligned.

use std::fmt::Write;

/// Rows of equally many cells as lines: the first column to the left, the others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|k| rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0)).collect();
    let mut table = String::new();
    for row in rows {
        for (k, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // names to the left, numbers to the right; writing to a string cannot fail
            let _ = match k {
                0 => write!(table, "{cell:width$}"),
                _ => write!(table, "  {cell:>width$}"),
            };
        }
        table.push('\n');
    }
    table
}
