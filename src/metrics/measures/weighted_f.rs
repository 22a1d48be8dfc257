//! The weighted F-measure (Margolin, Zelnik-Manor and Tal, "How to evaluate foreground maps?", CVPR 2014).

use crate::data::mask::FOREGROUND_ABOVE;
use crate::metrics::epsilon::EPSILON;
use crate::metrics::maps::Maps;
use crate::metrics::metric::{Measure, Pair};
use crate::metrics::min_max::MinMax;
use crate::metrics::nearest::NearestForeground;
use crate::metrics::spacing::Spacing;

/// Reach of the 7 x 7 Gaussian that spreads errors among foreground pixels.
const REACH: usize = 3;
/// Its standard deviation in pixels.
const SIGMA: f64 = 5.0;
/// At this distance from the foreground, in pixels, a false positive weighs 1.5 (half-way between 1 and 2).
const HALF_DISTANCE: f64 = 5.0;

/// The sum over pairs of each pair's weighted F.
#[derive(Default)]
pub(crate) struct WeightedF(f64);

impl Measure<1> for WeightedF {
    const TITLE: &'static str = "weighted F-measure, beta 1 (Margolin et al., CVPR 2014)";
    const KEYS: [&'static str; 1] = ["wFmeasure"];
    const OF_MAPS: Option<fn(&Maps<'_>) -> f64> =
        Some(|maps| weighted_f(maps.prediction, maps.mask, maps.width, maps.min_max));

    fn add(&mut self, pair: &Pair<'_>) {
        self.0 += pair.of_maps;
    }

    fn scores(&self, pairs: f64) -> [f64; 1] {
        [self.0 / pairs]
    }
}

/// Weighted F with beta 1 of a prediction, (H, W) levels; 0 for a mask without foreground.
///
/// A foreground pixel's error is the smaller of its own and the Gaussian mean around it, where background pixels stand
/// in with the error of their nearest foreground pixel and pixels outside the image with 0. A background pixel's error
/// weighs 2 - 0.5^(d / 5) at distance d from the foreground.
fn weighted_f(prediction: &[u8], mask: &[u8], width: usize, min_max: &MinMax) -> f64 {
    let Some(bounds) = Bounds::of(mask, width) else {
        return 0.0;
    };
    let (dependent, false_positive) = dependent_errors(prediction, mask, width, min_max);
    let (foreground, error) = foreground_errors(mask, width, &dependent, &bounds);

    let true_positive = foreground - error;
    let recall = 1.0 - error / foreground;
    let precision = true_positive / (true_positive + false_positive + EPSILON);
    2.0 * recall * precision / (recall + precision + EPSILON)
}

/// Rows and columns that hold all the foreground.
struct Bounds {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

impl Bounds {
    fn of(mask: &[u8], width: usize) -> Option<Self> {
        let is_foreground = |&level: &u8| level > FOREGROUND_ABOVE;
        let mut bounds: Option<Self> = None;
        for (y, row) in mask.chunks_exact(width).enumerate() {
            let Some(first) = row.iter().position(is_foreground) else {
                continue;
            };
            let last = row.iter().rposition(is_foreground).unwrap_or(first);
            let found = bounds.get_or_insert(Self { rows: y..y, columns: first..last });
            found.rows.end = y + 1;
            found.columns.start = found.columns.start.min(first);
            found.columns.end = found.columns.end.max(last + 1);
        }
        bounds
    }
}

/// The error of each foreground pixel, standing in for its nearest background pixels too, (H, W); and the weighted sum
/// of the background's own errors.
fn dependent_errors(prediction: &[u8], mask: &[u8], width: usize, min_max: &MinMax) -> (Vec<f64>, f64) {
    let decay = 0.5_f64.ln() / HALF_DISTANCE;
    let mut nearest = NearestForeground::new(mask, width, Spacing::PIXELS, |level| level > FOREGROUND_ABOVE);
    let mut dependent = Vec::with_capacity(mask.len());
    let mut false_positive = 0.0;
    for (y, (levels, mask)) in prediction.chunks_exact(width).zip(mask.chunks_exact(width)).enumerate() {
        let places = nearest.row(y);
        for (x, ((&level, &mask), place)) in levels.iter().zip(mask).zip(places).enumerate() {
            dependent.push(1.0 - min_max.value(prediction[place.row * width + place.column]));
            let error = min_max.value(level);
            if mask <= FOREGROUND_ABOVE && error > 0.0 {
                let (down, right) = (place.row.abs_diff(y), place.column.abs_diff(x));
                let distance = ((down * down + right * right) as f64).sqrt();
                false_positive += error * (2.0 - (decay * distance).exp());
            }
        }
    }
    (dependent, false_positive)
}

/// The number of foreground pixels and the sum of their errors, spread by the Gaussian.
///
/// The Gaussian is a product of two, so rows are blurred first (only those that the foreground's columns of `bounds`
/// reach), then columns.
fn foreground_errors(mask: &[u8], width: usize, dependent: &[f64], bounds: &Bounds) -> (f64, f64) {
    let height = mask.len() / width;
    let weights = gaussian();
    let columns = bounds.columns.len();
    let reached = bounds.rows.start.saturating_sub(REACH)..(bounds.rows.end + REACH).min(height);

    let mut blurred = vec![0.0; reached.len() * columns];
    let mut padded = vec![0.0; columns + 2 * REACH];
    // columns of the image that a blurred row reads, and where they lie in the padded row
    let read = bounds.columns.start.saturating_sub(REACH)..(bounds.columns.end + REACH).min(width);
    let offset = read.start + REACH - bounds.columns.start;
    for (y, blurred) in reached.clone().zip(blurred.chunks_exact_mut(columns)) {
        padded[offset..][..read.len()].copy_from_slice(&dependent[y * width..][read.clone()]);
        for (k, weight) in weights.iter().enumerate() {
            for (sum, value) in blurred.iter_mut().zip(&padded[k..]) {
                *sum += weight * value;
            }
        }
    }

    let (mut foreground, mut error) = (0_u64, 0.0);
    let mut spread = vec![0.0; columns];
    for y in bounds.rows.clone() {
        spread.fill(0.0);
        for (k, weight) in weights.iter().enumerate() {
            // rows outside the image add nothing
            let Some(row) = (y + k).checked_sub(REACH).filter(|row| reached.contains(row)) else {
                continue;
            };
            for (sum, value) in spread.iter_mut().zip(&blurred[(row - reached.start) * columns..]) {
                *sum += weight * value;
            }
        }
        let line = y * width + bounds.columns.start;
        for ((&level, own), spread) in mask[line..].iter().zip(&dependent[line..]).zip(&spread) {
            if level > FOREGROUND_ABOVE {
                foreground += 1;
                error += own.min(*spread);
            }
        }
    }
    (foreground as f64, error)
}

/// One axis of the Gaussian, summing to 1.
fn gaussian() -> [f64; 2 * REACH + 1] {
    let raw = std::array::from_fn(|k| {
        let offset = k as f64 - REACH as f64;
        (-offset * offset / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// The normalisation of a prediction that reaches both 0 and 255.
    fn full_range() -> MinMax {
        let mut histogram = [0; 256];
        histogram[0] = 1;
        histogram[255] = 1;
        MinMax::of(&histogram)
    }

    #[test]
    fn no_foreground_scores_zero() {
        assert_eq!(weighted_f(&[0, 255, 0, 0], &[0, 0, 128, 0], 2, &full_range()), 0.0);
    }

    #[test]
    fn a_perfect_map_scores_one() {
        let map = [0, 255, 255, 0, 0, 255];
        assert_abs_diff_eq!(weighted_f(&map, &map, 3, &full_range()), 1.0, epsilon = 1e-15);
    }

    /// One row, foreground at 0 and 1: hit at 0, missed at 1, false alarm at 4 (three pixels from the foreground).
    #[test]
    fn by_hand() {
        let prediction = [255, 0, 0, 0, 255];
        let mask = [255, 255, 0, 0, 0];
        // errors that spread: 0 at pixel 0, 1 at pixels 1 to 4 (each stands in for pixel 1)
        let axis = gaussian();
        let middle = axis[3]; // one row only: the other rows of the window lie outside
        let at_1 = middle * (axis[3] + axis[4] + axis[5] + axis[6]);
        let miss = at_1; // below the pixel's own error of 1; pixel 0 keeps its error of 0
        let alarm = 2.0 - 0.5_f64.powf(3.0 / 5.0);
        let hit = 2.0 - miss;
        let (recall, precision) = (1.0 - miss / 2.0, hit / (hit + alarm));
        let expected = 2.0 * recall * precision / (recall + precision);
        assert_abs_diff_eq!(weighted_f(&prediction, &mask, 5, &full_range()), expected, epsilon = 1e-14);
    }
}
