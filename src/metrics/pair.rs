//! One prediction against its mask.

use super::confusion::Confusion;
use super::min_max::{self, MinMax};
use super::structure::{self, Division, Region};
use super::weighted;
use crate::data::mask::FOREGROUND_ABOVE;

/// What the scores of a set need of one pair.
///
/// Mostly histograms, so that curves over 256 thresholds are exact and cheap; about 3 KB whatever the image's size.
#[derive(Clone, Debug, PartialEq)]
pub struct PairScores {
    /// Pixels by level of the prediction, where the mask is foreground.
    pub(super) foreground: [u32; 256],
    /// The same, where the mask is background.
    pub(super) background: [u32; 256],
    /// The same, where the mask is 255: a part of `foreground`.
    pub(super) full: [u32; 256],
    pub(super) s_measure: f64,
    pub(super) weighted_f: f64,
    /// Twice the stretched prediction's mean, at most 1.
    pub(super) adaptive_threshold: f64,
}

/// Why a pair cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The numbers of levels are not width x height.
    #[error(
        "a {width}x{height} pair needs {} levels each, but the prediction has {prediction} and the mask {mask}",
        width * height
    )]
    Length {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Levels that the prediction has.
        prediction: usize,
        /// Levels that the mask has.
        mask: usize,
    },
    /// No pixel at all, or more than can be counted.
    #[error("cannot score a {width}x{height} image: it needs between 1 and {} pixels", i32::MAX)]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// Scores a prediction against its mask, both (H, W), one 8-bit level a pixel, row after row.
///
/// # Errors
///
/// Where an array is not `width * height` long, or the image has no pixel or 2^31 of them and more.
pub fn score_pair(prediction: &[u8], mask: &[u8], width: usize, height: usize) -> Result<PairScores, MetricError> {
    let pixels = width.checked_mul(height).filter(|pixels| (1..=i32::MAX as usize).contains(pixels));
    let pixels = pixels.ok_or(MetricError::Size { width, height })?;
    if prediction.len() != pixels || mask.len() != pixels {
        return Err(MetricError::Length { width, height, prediction: prediction.len(), mask: mask.len() });
    }

    let division = divide(mask, width);
    let levels = count_levels(prediction, mask, width, division);
    let [background, partial, full] = std::array::from_fn(|class| total(levels.iter().map(|region| &region[class])));
    let foreground = total([&partial, &full].into_iter());

    let min_max = MinMax::of(&total([&foreground, &background].into_iter()));
    let mean = min_max::mean(prediction, &min_max);
    let s_measure = if is_empty(&foreground) {
        1.0 - mean
    } else if is_empty(&background) {
        mean
    } else {
        let object = structure::object_term(&foreground, &background, &min_max);
        let regions = regions(&levels, division, width, height);
        structure::s_measure(object, structure::region_term(&regions, &min_max))
    };
    Ok(PairScores {
        s_measure,
        weighted_f: weighted::weighted_f(prediction, mask, width, &min_max),
        adaptive_threshold: (2.0 * mean).min(1.0),
        foreground,
        background,
        full,
    })
}

/// Pixels by level.
type Histogram = [u32; 256];

/// Levels of a region's background, of its foreground below 255, and of its foreground at 255.
type LevelsByMask = [Histogram; 3];

fn divide(mask: &[u8], width: usize) -> Division {
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
    Division::at_centroid(foreground, row_sum, column_sum)
}

/// Counts the prediction's levels in the upper left, upper right, lower left and lower right region.
fn count_levels(prediction: &[u8], mask: &[u8], width: usize, division: Division) -> [LevelsByMask; 4] {
    let mut regions = [[[0; 256]; 3]; 4];
    let (upper, lower) = regions.split_at_mut(2);
    for (y, (levels, mask)) in prediction.chunks_exact(width).zip(mask.chunks_exact(width)).enumerate() {
        let sides = if y < division.rows { &mut *upper } else { &mut *lower };
        let parts = [0..division.columns, division.columns..width];
        for (region, part) in sides.iter_mut().zip(parts) {
            for (&level, &mask) in levels[part.clone()].iter().zip(&mask[part]) {
                let class = usize::from(mask > FOREGROUND_ABOVE) + usize::from(mask == u8::MAX);
                region[class][usize::from(level)] += 1;
            }
        }
    }
    regions
}

fn regions(levels: &[LevelsByMask; 4], division: Division, width: usize, height: usize) -> [Region; 4] {
    let rows = [division.rows, height - division.rows];
    let columns = [division.columns, width - division.columns];
    std::array::from_fn(|k| {
        let [background, partial, full] = &levels[k];
        Region {
            rows: rows[k / 2],
            columns: columns[k % 2],
            contiguous: columns[k % 2] == width,
            foreground: total([partial, full].into_iter()),
            background: *background,
        }
    })
}

fn total<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Histogram {
    let mut total = [0; 256];
    for histogram in histograms {
        for (sum, count) in total.iter_mut().zip(histogram) {
            *sum += count;
        }
    }
    total
}

fn is_empty(histogram: &Histogram) -> bool {
    histogram.iter().all(|&count| count == 0)
}

impl PairScores {
    /// Levels of the whole prediction.
    pub(super) fn levels(&self) -> [u32; 256] {
        total([&self.foreground, &self.background].into_iter())
    }

    /// The counts of the stretched map above (or at) what `positive` asks for.
    pub(super) fn confusion(&self, min_max: &MinMax, positive: impl Fn(f64) -> bool) -> Confusion {
        Confusion::where_level(&self.foreground, &self.background, |level| positive(min_max.value(level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_agree() {
        let error = score_pair(&[0; 6], &[0; 5], 3, 2).expect_err("the mask is short");
        assert_eq!(error.to_string(), "a 3x2 pair needs 6 levels each, but the prediction has 6 and the mask 5");
        assert!(matches!(score_pair(&[], &[], 0, 4), Err(MetricError::Size { width: 0, height: 4 })));
        assert!(matches!(score_pair(&[], &[], usize::MAX, 2), Err(MetricError::Size { .. })));
    }

    #[test]
    fn levels_fall_into_their_regions() {
        #[rustfmt::skip]
        let mask = [
            255, 255, 0,
            129, 0, 0,
        ];
        let prediction = [1, 2, 3, 4, 5, 6];
        // centroid: row 1/3, column 1/3; both round to 0
        let division = divide(&mask, 3);
        assert_eq!(division, Division { rows: 1, columns: 1 });
        let counts = count_levels(&prediction, &mask, 3, division);
        let levels = |region: usize, class: usize| -> Vec<usize> {
            (0..256).filter(|&level| counts[region][class][level] == 1).collect()
        };
        assert_eq!((levels(0, 2), levels(0, 1), levels(0, 0)), (vec![1], vec![], vec![]));
        assert_eq!((levels(1, 2), levels(1, 0)), (vec![2], vec![3]));
        assert_eq!((levels(2, 1), levels(2, 0)), (vec![4], vec![]));
        assert_eq!(levels(3, 0), vec![5, 6]);
    }

    /// An empty mask: 1 - mean; a full one: mean.
    #[test]
    fn s_measure_of_one_sided_masks() {
        let prediction = [0, 255, 255, 0, 255];
        let empty = score_pair(&prediction, &[0; 5], 5, 1).expect("a valid pair");
        let full = score_pair(&prediction, &[255; 5], 5, 1).expect("a valid pair");
        assert!((empty.s_measure - 0.4).abs() < 1e-15);
        assert!((full.s_measure - 0.6).abs() < 1e-15);
    }

    /// The foreground's centroid in the last column leaves two regions without pixels.
    #[test]
    fn regions_without_pixels_add_nothing() {
        let map = [0, 0, 255, 0, 0, 255];
        let scores = score_pair(&map, &map, 3, 2).expect("a valid pair");
        assert!((scores.s_measure - 1.0).abs() < 1e-12, "{}", scores.s_measure);
    }
}
