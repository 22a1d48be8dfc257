//! The mean absolute error (Perazzi, Krähenbühl, Pritch and Hornung, "Saliency filters: contrast based filtering for
//! salient region detection", CVPR 2012).

use crate::metrics::counts::Counts;
use crate::metrics::metric::{Measure, Pair};

/// The sum over pairs of each pair's mean absolute error.
#[derive(Default)]
pub(crate) struct MeanAbsoluteError(f64);

impl Measure<1> for MeanAbsoluteError {
    const TITLE: &'static str = "mean absolute error (Perazzi et al., CVPR 2012)";
    const KEYS: [&'static str; 1] = ["MAE"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.0 += absolute_error(pair.counts);
    }

    fn scores(&self, pairs: f64) -> [f64; 1] {
        [self.0 / pairs]
    }
}

/// The mean over pixels of |prediction - mask|.
fn absolute_error(counts: &Counts<'_>) -> f64 {
    let (mut sum, mut pixels) = (0.0, 0.0);
    let levels = counts.min_max.values().iter().zip(counts.levels.foreground.iter().zip(&counts.levels.background));
    for (value, (&on, &off)) in levels.filter(|(_, (on, off))| **on + **off > 0) {
        sum += f64::from(on) * (1.0 - value) + f64::from(off) * value;
        pixels += f64::from(on) + f64::from(off);
    }
    sum / pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::levels::Levels;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        // stretched: 0, 0.2, 0.6, 1
        let levels = Levels::count(&[0, 51, 153, 255], &[0, 0, 255, 255]);
        assert_abs_diff_eq!(absolute_error(&Counts::of(&levels, 0.9)), 0.6 / 4.0, epsilon = 1e-15);
    }
}
