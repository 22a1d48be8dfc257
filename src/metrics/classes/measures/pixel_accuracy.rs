//! The share of pixels that have the right class (`aAcc` of mmsegmentation 1.2's `IoUMetric`).

use crate::metrics::classes::matrix::ConfusionMatrix;
use crate::metrics::classes::mean::share;
use crate::metrics::classes::metric::MatrixMeasure;

/// The share of pixels that have the right class.
pub(crate) struct PixelAccuracy;

impl MatrixMeasure for PixelAccuracy {
    const TITLE: &'static str = "share of the set's pixels that have the right class (mmsegmentation)";
    const KEY: &'static str = "aAcc";

    fn score(matrix: &ConfusionMatrix) -> f64 {
        share(matrix.right(), matrix.total())
    }
}
