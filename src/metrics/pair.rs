//! One prediction against its mask.

use super::all::METRICS;
use super::counts::Counts;
use super::levels::Levels;
use super::maps::Maps;
use super::min_max::{self, MinMax};

/// What the scores of a set need of one pair.
///
/// Mostly histograms, so that curves over 256 thresholds are exact and cheap; about 3 KB whatever the image's size.
#[derive(Clone, Debug, PartialEq)]
pub struct PairScores {
    pub(super) levels: Levels,
    /// Twice the stretched prediction's mean, at most 1.
    pub(super) adaptive_threshold: f64,
    /// For each metric of the table, the number that needed the pixels' positions, if it has one.
    pub(super) of_maps: Vec<Option<f64>>,
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
    let pixels = pixels_of(width, height)?;
    if prediction.len() != pixels || mask.len() != pixels {
        return Err(MetricError::Length { width, height, prediction: prediction.len(), mask: mask.len() });
    }

    let levels = Levels::count(prediction, mask);
    let min_max = MinMax::of(&levels.all());
    let mean = min_max::mean(prediction, &min_max);
    let maps = Maps { prediction, mask, width, levels: &levels, min_max: &min_max, mean };
    let of_maps = METRICS.iter().map(|metric| metric.of_maps.map(|number| number(&maps))).collect();
    Ok(PairScores { adaptive_threshold: (2.0 * mean).min(1.0), of_maps, levels })
}

/// The number of pixels of an image that can be scored.
pub(super) fn pixels_of(width: usize, height: usize) -> Result<usize, MetricError> {
    let pixels = width.checked_mul(height).filter(|pixels| (1..=i32::MAX as usize).contains(pixels));
    pixels.ok_or(MetricError::Size { width, height })
}

impl PairScores {
    /// What is counted for all metrics.
    pub(super) fn counts(&self) -> Counts<'_> {
        Counts::of(&self.levels, self.adaptive_threshold)
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
}
