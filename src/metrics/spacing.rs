//! How far apart pixels lie.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The distances between neighbours that are taken.
const DISTANCES: RangeInclusive<f64> = 1e-6..=1e6;

/// The distances between neighbouring rows and between neighbouring columns, in any unit (a scan's millimetres, say).
/// By default 1 and 1: distances are then in pixels. Written `ROW,COLUMN`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing {
    row: f64,
    column: f64,
}

/// Two numbers that are no spacing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "a spacing is two distances, between rows and between columns, each from 0.000001 to 1000000, written as in \
     0.5,0.7; not {given}"
)]
pub struct SpacingError {
    /// What was given.
    pub given: String,
}

impl Spacing {
    /// Neighbours lie 1 apart: distances in pixels.
    pub const PIXELS: Self = Self { row: 1.0, column: 1.0 };

    /// Rows lie `row` apart, columns `column`.
    ///
    /// # Errors
    /// When one of them is not between 1e-6 and 1e6.
    pub fn new(row: f64, column: f64) -> Result<Self, SpacingError> {
        let fits = |distance: f64| DISTANCES.contains(&distance);
        if fits(row) && fits(column) {
            Ok(Self { row, column })
        } else {
            Err(SpacingError { given: format!("{row},{column}") })
        }
    }

    /// From a row to the next.
    pub fn row(&self) -> f64 {
        self.row
    }

    /// From a column to the next.
    pub fn column(&self) -> f64 {
        self.column
    }

    /// Between two pixels that are so many rows and columns apart.
    pub(super) fn distance(&self, rows: usize, columns: usize) -> f64 {
        let (down, right) = (rows as f64 * self.row, columns as f64 * self.column);
        (down * down + right * right).sqrt()
    }
}

impl Default for Spacing {
    fn default() -> Self {
        Self::PIXELS
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.row, self.column)
    }
}

impl FromStr for Spacing {
    type Err = SpacingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || SpacingError { given: format!("`{text}`") };
        let (row, column) = text.split_once(',').ok_or_else(error)?;
        let number = |text: &str| text.trim().parse().map_err(|_| error());
        Self::new(number(row)?, number(column)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_leads_there_and_back() {
        let spacing: Spacing = "0.5, 2".parse().expect("a spacing");
        assert_eq!(spacing, Spacing { row: 0.5, column: 2.0 });
        assert_eq!(spacing.to_string().parse(), Ok(spacing));
        assert_eq!(Spacing::default().to_string(), "1,1");
        assert_eq!(spacing.distance(6, 2), 5.0);
    }

    #[test]
    fn what_is_no_spacing_is_refused() {
        for text in ["1", "1,0", "1,-1", "nan,1", "1,inf", "a,1", "1,1,1", "", "1e-7,1"] {
            let error = text.parse::<Spacing>().expect_err(text).to_string();
            assert!(error.contains("written as in 0.5,0.7"), "{error}");
        }
    }
}
