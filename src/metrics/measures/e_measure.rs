//! The enhanced-alignment measure (Fan, Gong, Cao, Ren, Cheng and Borji, "Enhanced-alignment measure for binary
//! foreground map evaluation", IJCAI 2018).

use crate::metrics::confusion::Confusion;
use crate::metrics::curve::Curve;
use crate::metrics::epsilon::EPSILON;
use crate::metrics::metric::{Measure, Pair};

/// Sums over pairs of E at the adaptive threshold and at each threshold.
#[derive(Default)]
pub(crate) struct EMeasure {
    adaptive: f64,
    curve: Curve,
}

impl Measure<3> for EMeasure {
    const TITLE: &'static str = "E-measure (Fan et al., IJCAI 2018)";
    const KEYS: [&'static str; 3] = ["adpEm", "meanEm", "maxEm"];

    fn add(&mut self, pair: &Pair<'_>) {
        self.adaptive += e_measure(&pair.counts.adaptive);
        self.curve.add(&pair.counts.at_thresholds, e_measure);
    }

    fn scores(&self, pairs: f64) -> [f64; 3] {
        [self.adaptive / pairs, self.curve.mean(pairs), self.curve.highest(pairs)]
    }
}

/// The enhanced alignment of a binary map.
///
/// Of four kinds of pixels each has one value, so counts are enough. The sum is divided by one less than the number of
/// pixels, as in the authors' code: a perfect map of N pixels scores N / (N - 1), and a single pixel's score means
/// nothing.
fn e_measure(counts: &Confusion) -> f64 {
    let pixels = (counts.foreground + counts.background) as f64;
    let positive = counts.positive();
    let sum = if counts.foreground == 0 {
        pixels - positive as f64
    } else if counts.background == 0 {
        positive as f64
    } else {
        let map_mean = positive as f64 / pixels;
        let mask_mean = counts.foreground as f64 / pixels;
        [
            (counts.true_positive, 1.0 - map_mean, 1.0 - mask_mean),
            (counts.false_positive, 1.0 - map_mean, -mask_mean),
            (counts.false_negative(), -map_mean, 1.0 - mask_mean),
            (counts.true_negative(), -map_mean, -mask_mean),
        ]
        .into_iter()
        .map(|(count, map, mask)| {
            let alignment = 2.0 * (map * mask) / (map * map + mask * mask + EPSILON);
            (alignment + 1.0).powi(2) / 4.0 * count as f64
        })
        .sum()
    };
    sum / (pixels - 1.0 + EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn by_hand() {
        let counts = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };
        // means 0.3 and 0.4; alignment of each kind: 2ab / (a^2 + b^2)
        let phi = |a: f64, b: f64| (2.0 * a * b / (a * a + b * b) + 1.0).powi(2) / 4.0;
        let sum = 2.0 * phi(0.7, 0.6) + phi(0.7, -0.4) + 2.0 * phi(-0.3, 0.6) + 5.0 * phi(-0.3, -0.4);
        assert_abs_diff_eq!(e_measure(&counts), sum / 9.0, epsilon = 1e-14);
    }

    #[test]
    fn one_sided_masks() {
        let empty = Confusion { false_positive: 3, background: 10, ..Confusion::default() };
        assert_abs_diff_eq!(e_measure(&empty), 7.0 / 9.0, epsilon = 1e-15);
        let full = Confusion { true_positive: 3, foreground: 10, ..Confusion::default() };
        assert_abs_diff_eq!(e_measure(&full), 3.0 / 9.0, epsilon = 1e-15);
    }
}
