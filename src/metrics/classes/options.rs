//! What is measured, and how.

use super::error::ClassError;
use crate::metrics::spacing::Spacing;

/// The classes of a set, and how their outlines are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassOptions {
    /// The number of classes, 1 to 255.
    pub classes: usize,
    /// How outlines are compared; `None` leaves the scores out that need them, which take most of the time.
    pub outlines: Option<OutlineOptions>,
}

impl ClassOptions {
    /// So many classes, everything measured in pixels.
    pub fn new(classes: usize) -> Self {
        Self { classes, outlines: Some(OutlineOptions::default()) }
    }

    pub(super) fn check(&self) -> Result<(), ClassError> {
        if !(1..=255).contains(&self.classes) {
            return Err(ClassError::Classes { classes: self.classes });
        }
        match self.outlines {
            // NaN is none, too
            Some(OutlineOptions { nsd_tolerance, .. }) if !(0.0..f64::INFINITY).contains(&nsd_tolerance) => {
                Err(ClassError::Tolerance { nsd_tolerance })
            }
            _ => Ok(()),
        }
    }
}

/// How outlines are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlineOptions {
    /// How far apart pixels lie, for distances.
    pub spacing: Spacing,
    /// How far an outline may be off in the normalised surface distance, in the spacing's unit; 0 or more.
    pub nsd_tolerance: f64,
}

impl Default for OutlineOptions {
    /// Pixels, and two of them.
    fn default() -> Self {
        Self { spacing: Spacing::PIXELS, nsd_tolerance: 2.0 }
    }
}
