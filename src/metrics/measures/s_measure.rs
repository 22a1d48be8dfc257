//! The S-measure (Fan, Cheng, Liu, Li and Borji, "Structure-measure: a new way to evaluate foreground maps",
//! ICCV 2017).

use crate::data::mask::FOREGROUND_ABOVE;
use crate::metrics::epsilon::EPSILON;
use crate::metrics::levels::{Histogram, Levels, Tally};
use crate::metrics::maps::Maps;
use crate::metrics::metric::{Measure, Pair};
use crate::metrics::min_max::{MinMax, mean_of_equal};

/// Weight of the object term against the region term.
const ALPHA: f64 = 0.5;

/// The sum over pairs of each pair's S-measure.
#[derive(Default)]
pub(crate) struct SMeasure(f64);

impl Measure<1> for SMeasure {
    const TITLE: &'static str = "S-measure, alpha 0.5 (Fan et al., ICCV 2017)";
    const KEYS: [&'static str; 1] = ["Smeasure"];
    const OF_MAPS: Option<fn(&Maps<'_>) -> f64> = Some(s_measure);

    fn add(&mut self, pair: &Pair<'_>) {
        self.0 += pair.of_maps;
    }

    fn scores(&self, pairs: f64) -> [f64; 1] {
        [self.0 / pairs]
    }
}

/// The S-measure of a prediction; of an empty mask 1 - the prediction's mean, of a full one that mean.
fn s_measure(maps: &Maps<'_>) -> f64 {
    let (foreground, background) = (&maps.levels.foreground, &maps.levels.background);
    let is_empty = |histogram: &Histogram| histogram.iter().all(|&count| count == 0);
    if is_empty(foreground) {
        1.0 - maps.mean
    } else if is_empty(background) {
        maps.mean
    } else {
        let object = object_term(foreground, background, maps.min_max);
        let region = region_term(&regions(maps, Division::of(maps.mask, maps.width)), maps.min_max);
        (ALPHA * object + (1.0 - ALPHA) * region).max(0.0)
    }
}

/// Where the four regions meet: the first `rows` rows and `columns` columns are the upper left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Division {
    rows: usize,
    columns: usize,
}

impl Division {
    /// Divides a mask with foreground at the centroid of that, whose own row and column belong to the upper left region.
    fn of(mask: &[u8], width: usize) -> Self {
        let (mut foreground, mut row_sum) = (0_u64, 0_u64);
        let mut in_column = vec![0_u32; width];
        for (row, y) in mask.chunks_exact(width).zip(0..) {
            let mut in_row = 0_u32;
            for (count, &level) in in_column.iter_mut().zip(row) {
                let on = u32::from(level > FOREGROUND_ABOVE);
                *count += on;
                in_row += on;
            }
            foreground += u64::from(in_row);
            row_sum += u64::from(in_row) * y;
        }
        let column_sum = in_column.iter().zip(0..).map(|(&count, x)| u64::from(count) * x).sum();
        Self::at_centroid(foreground, row_sum, column_sum)
    }

    /// Takes the number of foreground pixels, and the sums of their row and column numbers.
    fn at_centroid(foreground: u64, row_sum: u64, column_sum: u64) -> Self {
        let place = |sum: u64| (sum as f64 / foreground as f64).round_ties_even() as usize + 1;
        Self { rows: place(row_sum), columns: place(column_sum) }
    }
}

/// Counts of levels in one region.
#[derive(Clone)]
struct Region {
    rows: usize,
    columns: usize,
    /// Whether its rows are rows of the image, in full.
    contiguous: bool,
    foreground: Histogram,
    background: Histogram,
}

/// The upper left, upper right, lower left and lower right region.
fn regions(maps: &Maps<'_>, division: Division) -> [Region; 4] {
    let width = maps.width;
    let rows = [division.rows, maps.height() - division.rows];
    let columns = [division.columns, width - division.columns];

    // the lower right region is what the other three leave
    let [mut upper_left, mut upper_right, mut lower_left] = [Tally::default(), Tally::default(), Tally::default()];
    let lines = maps.prediction.chunks_exact(width).zip(maps.mask.chunks_exact(width));
    for (y, (levels, mask)) in lines.enumerate() {
        let (left, right) = levels.split_at(division.columns);
        let (left_mask, right_mask) = mask.split_at(division.columns);
        if y < division.rows {
            upper_left.add(left, left_mask);
            upper_right.add(right, right_mask);
        } else {
            lower_left.add(left, left_mask);
        }
    }
    let [first, second, third] = [upper_left, upper_right, lower_left].map(|tally| tally.levels());
    let last = maps.levels.without(&first).without(&second).without(&third);
    let levels = [first, second, third, last];
    std::array::from_fn(|k| {
        let (rows, columns) = (rows[k / 2], columns[k % 2]);
        let Levels { foreground, background, .. } = levels[k];
        Region { rows, columns, contiguous: columns == width, foreground, background }
    })
}

/// The object term (section 3.2): how uniform the prediction is on each side of the mask, and how far apart they are.
fn object_term(foreground: &Histogram, background: &Histogram, min_max: &MinMax) -> f64 {
    let on: u64 = foreground.iter().copied().map(u64::from).sum();
    let off: u64 = background.iter().copied().map(u64::from).sum();
    let share = on as f64 / (on + off) as f64;
    let contrast = min_max.values().map(|value| 1.0 - value);
    object_score(foreground, min_max.values()) * share + object_score(background, &contrast) * (1.0 - share)
}

/// 2 m / (m^2 + 1 + s) with the mean m and the sample standard deviation s.
fn object_score(histogram: &Histogram, values: &[f64; 256]) -> f64 {
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
fn region_term(regions: &[Region; 4], min_max: &MinMax) -> f64 {
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

fn weighted_sum(histogram: &Histogram, value: impl Fn(usize) -> f64) -> f64 {
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
    use crate::metrics::min_max;
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

    /// A prediction and its mask of (H, W), looked at with all that [`Maps`] hold.
    fn with_maps<T>(prediction: &[u8], mask: &[u8], width: usize, look: impl FnOnce(&Maps<'_>) -> T) -> T {
        let levels = Levels::count(prediction, mask);
        let min_max = MinMax::of(&levels.all());
        let mean = min_max::mean(prediction, &min_max);
        look(&Maps { prediction, mask, width, levels: &levels, min_max: &min_max, mean })
    }

    #[test]
    fn levels_fall_into_their_regions() {
        #[rustfmt::skip]
        let mask = [
            255, 255, 0,
            129, 0, 0,
        ];
        // centroid: row 1/3, column 1/3; both round to 0
        let division = Division::of(&mask, 3);
        assert_eq!(division, Division { rows: 1, columns: 1 });
        let regions = with_maps(&[1, 2, 3, 4, 5, 6], &mask, 3, |maps| regions(maps, division));
        let levels = |histogram: &Histogram| (0..256).filter(|&level| histogram[level] == 1).collect::<Vec<usize>>();
        let counted = regions.map(|region| (levels(&region.foreground), levels(&region.background)));
        assert_eq!(counted, [(vec![1], vec![]), (vec![2], vec![3]), (vec![4], vec![]), (vec![], vec![5, 6])]);
    }

    /// An empty mask: 1 - mean; a full one: mean.
    #[test]
    fn one_sided_masks() {
        let prediction = [0, 255, 255, 0, 255];
        let empty = with_maps(&prediction, &[0; 5], 5, s_measure);
        let full = with_maps(&prediction, &[255; 5], 5, s_measure);
        assert_abs_diff_eq!(empty, 0.4, epsilon = 1e-15);
        assert_abs_diff_eq!(full, 0.6, epsilon = 1e-15);
    }

    /// The foreground's centroid in the last column leaves two regions without pixels.
    #[test]
    fn regions_without_pixels_add_nothing() {
        let map = [0, 0, 255, 0, 0, 255];
        assert_abs_diff_eq!(with_maps(&map, &map, 3, s_measure), 1.0, epsilon = 1e-12);
    }
}
