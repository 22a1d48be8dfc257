//! A measure of binary maps over all thresholds.

use super::confusion::Confusion;

/// A measure at the thresholds 0, 1/255, ..., 1, summed over pairs.
pub(super) struct Curve([f64; 256]);

impl Default for Curve {
    fn default() -> Self {
        Self([0.0; 256])
    }
}

impl Curve {
    /// Adds the measure of one pair's maps.
    pub(super) fn add(&mut self, at_thresholds: &[Confusion; 256], measure: impl Fn(&Confusion) -> f64) {
        for (sum, counts) in self.0.iter_mut().zip(at_thresholds) {
            *sum += measure(counts);
        }
    }

    /// The mean over thresholds of the mean curve of `pairs` pairs.
    pub(super) fn mean(&self, pairs: f64) -> f64 {
        self.0.iter().sum::<f64>() / 256.0 / pairs
    }

    /// The highest point of the mean curve of `pairs` pairs.
    pub(super) fn highest(&self, pairs: f64) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max) / pairs
    }
}
