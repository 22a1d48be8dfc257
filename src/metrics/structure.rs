//! The S-measure (Fan, Cheng, Liu, Li and Borji, "Structure-measure: a new way to evaluate foreground maps",
//! ICCV 2017).

use super::epsilon::EPSILON;
use super::min_max::{MinMax, mean_of_equal};

/// Weight of the object term against the region term.
const ALPHA: f64 = 0.5;

/// Where the four regions meet: the first `rows` rows and `columns` columns are the upper left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Division {
    /// Divides at the foreground's centroid, whose own row and column belong to the upper left region.
    ///
    /// Takes the number of foreground pixels and the sums of their row and column numbers. Without foreground there is
    /// nothing to divide at, nor a region term.
    pub(super) fn at_centroid(foreground: u64, row_sum: u64, column_sum: u64) -> Self {
        let place = |sum: u64| (sum as f64 / foreground.max(1) as f64).round_ties_even() as usize + 1;
        Self { rows: place(row_sum), columns: place(column_sum) }
    }
}

/// Counts of levels in one region.
#[derive(Clone)]
pub(super) struct Region {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether its rows are rows of the image, in full.
    pub(super) contiguous: bool,
    pub(super) foreground: [u32; 256],
    pub(super) background: [u32; 256],
}

/// The S-measure from the object and region terms of an image with both foreground and background.
pub(super) fn s_measure(object: f64, region: f64) -> f64 {
    (ALPHA * object + (1.0 - ALPHA) * region).max(0.0)
}

/// The object term (section 3.2): how uniform the prediction is on each side of the mask, and how far apart they are.
pub(super) fn object_term(foreground: &[u32; 256], background: &[u32; 256], min_max: &MinMax) -> f64 {
    let on: u64 = foreground.iter().copied().map(u64::from).sum();
    let off: u64 = background.iter().copied().map(u64::from).sum();
    let share = on as f64 / (on + off) as f64;
    let contrast = min_max.values().map(|value| 1.0 - value);
    object_score(foreground, min_max.values()) * share + object_score(background, &contrast) * (1.0 - share)
}

/// 2 m / (m^2 + 1 + s) with the mean m and the sample standard deviation s.
fn object_score(histogram: &[u32; 256], values: &[f64; 256]) -> f64 {
    let count: f64 = histogram.iter().copied().map(f64::from).sum();
    let mean = weighted_sum(histogram, |level| values[level]) / count;
    let deviation = if count > 1.0 {
        (weighted_sum(histogram, |level| (values[level] - mean).powi(2)) / (count - 1.0)).sqrt()
    } else {
        0.0
    };
    2.0 * mean / (mean * mean + 1.0 + deviation + EPSILON)
}

/// The region term (section 3.1): structural similarity in four regions, weighted by their areas.
///
/// A region without pixels (the foreground's centroid lies in the last row or column) has no weight and adds nothing;
/// PySODMetrics gives NaN for the whole image there.
pub(super) fn region_term(regions: &[Region; 4], min_max: &MinMax) -> f64 {
    let area = |region: &Region| (region.rows * region.columns) as f64;
    let total: f64 = regions.iter().map(area).sum();
    regions
        .iter()
        .filter(|region| area(region) > 0.0)
        .map(|region| similarity(region, min_max) * (area(region) / total))
        .sum()
}

/// Structural similarity of prediction and mask in one region.
fn similarity(region: &Region, min_max: &MinMax) -> f64 {
    let values = min_max.values();
    let count = (region.rows * region.columns) as f64;
    let on: f64 = region.foreground.iter().copied().map(f64::from).sum();
    let off = count - on;
    let mask_mean = on / count;
    let mean = region_mean(region, values);

    let spread = |histogram| weighted_sum(histogram, |level| (values[level] - mean).powi(2));
    let drift = |histogram| weighted_sum(histogram, |level| values[level] - mean);
    let freedom = count - 1.0 + EPSILON;
    let variance = (spread(&region.foreground) + spread(&region.background)) / freedom;
    let mask_variance = (on * (1.0 - mask_mean).powi(2) + off * mask_mean.powi(2)) / freedom;
    let covariance = (drift(&region.foreground) * (1.0 - mask_mean) - drift(&region.background) * mask_mean) / freedom;

    let alpha = 4.0 * mean * mask_mean * covariance;
    let beta = (mean * mean + mask_mean * mask_mean) * (variance + mask_variance);
    if alpha != 0.0 {
        alpha / (beta + EPSILON)
    } else if beta == 0.0 {
        1.0
    } else {
        0.0
    }
}

/// The prediction's mean in a region.
///
/// Where the whole region has one level, similarity turns on whether the rounded mean is that level's value to the last
/// bit: then the sum is rounded as NumPy rounds it.
fn region_mean(region: &Region, values: &[f64; 256]) -> f64 {
    let count = |level: usize| region.foreground[level] + region.background[level];
    let mut levels = (0..256).filter(|&level| count(level) > 0);
    match (levels.next(), levels.next()) {
        (Some(only), None) => mean_of_equal(values[only], region.rows, region.columns, region.contiguous),
        _ => {
            let sum: f64 = (0..256).map(|level| f64::from(count(level)) * values[level]).sum();
            sum / (region.rows * region.columns) as f64
        }
    }
}

fn weighted_sum(histogram: &[u32; 256], value: impl Fn(usize) -> f64) -> f64 {
    histogram
        .iter()
        .enumerate()
        .filter(|&(_, &count)| count > 0)
        .map(|(level, &count)| f64::from(count) * value(level))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn histogram(counts: &[(usize, u32)]) -> [u32; 256] {
        let mut histogram = [0; 256];
        for &(level, count) in counts {
            histogram[level] += count;
        }
        histogram
    }

    fn full_range() -> MinMax {
        MinMax::of(&histogram(&[(0, 1), (255, 1)]))
    }

    #[test]
    fn object_term_by_hand() {
        // foreground values 1, 1, 0: mean 2/3, variance (2/9 + 4/9) / 2 = 1/3; background 0: contrast 1, no deviation
        let object = object_term(&histogram(&[(255, 2), (0, 1)]), &histogram(&[(0, 1)]), &full_range());
        let on = (4.0 / 3.0) / (4.0 / 9.0 + 1.0 + (1.0_f64 / 3.0).sqrt());
        assert_abs_diff_eq!(object, on * 0.75 + 0.25, epsilon = 1e-14);
    }

    #[test]
    fn similarity_by_hand() {
        // two pixels 1 on foreground, one 1 and one 0 on background: means 3/4 and 1/2, variances 1/4 and 1/3,
        // covariance 1/6
        let region = Region {
            rows: 2,
            columns: 2,
            contiguous: false,
            foreground: histogram(&[(255, 2)]),
            background: histogram(&[(255, 1), (0, 1)]),
        };
        let alpha = 4.0 * 0.75 * 0.5 / 6.0;
        let beta = (0.75_f64.powi(2) + 0.25) * (0.25 + 1.0 / 3.0);
        assert_abs_diff_eq!(similarity(&region, &full_range()), alpha / beta, epsilon = 1e-14);
    }

    #[test]
    fn similarity_where_nothing_varies() {
        let empty =
            Region { rows: 1, columns: 3, contiguous: true, foreground: [0; 256], background: histogram(&[(0, 3)]) };
        assert_eq!(similarity(&empty, &full_range()), 1.0);
        let uneven = Region { background: histogram(&[(0, 2), (255, 1)]), ..empty };
        assert_eq!(similarity(&uneven, &full_range()), 0.0);
    }

    #[test]
    fn centroids_round_half_to_even() {
        // rows 0 and 1 (mean 0.5), columns 1 and 2 (mean 1.5)
        assert_eq!(Division::at_centroid(2, 1, 3), Division { rows: 1, columns: 3 });
    }
}
