//! What keeps a denominator from being zero.

/// The distance from 1.0 to the next larger `f64`, which PySODMetrics adds to denominators.
pub(super) const EPSILON: f64 = f64::EPSILON;
