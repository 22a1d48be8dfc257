//! The stretched prediction: what each of the 256 levels stands for.

/// The value of each level after min-max normalisation to 0..=1.
///
/// With a single level in the whole prediction there is nothing to normalise and the value is `level / 255`.
pub(super) struct MinMax {
    values: [f64; 256],
}

impl MinMax {
    /// The normalisation of a prediction whose levels are counted in `histogram`.
    pub(super) fn of(histogram: &[u32; 256]) -> Self {
        let lowest = histogram.iter().position(|&n| n > 0).unwrap_or(0);
        let highest = histogram.iter().rposition(|&n| n > 0).unwrap_or(0);
        let unit = |level: usize| level as f64 / 255.0;
        let values = std::array::from_fn(|level| {
            if lowest == highest { unit(level) } else { (unit(level) - unit(lowest)) / (unit(highest) - unit(lowest)) }
        });
        Self { values }
    }

    pub(super) fn value(&self, level: u8) -> f64 {
        self.values[usize::from(level)]
    }

    /// All values, by level. Those of levels outside the prediction's range mean nothing.
    pub(super) fn values(&self) -> &[f64; 256] {
        &self.values
    }

    /// The index of the highest of the thresholds 0, 1/255, ..., 1 that the level's value reaches.
    pub(super) fn threshold(&self, level: usize) -> usize {
        usize::from((self.values[level] * 255.0) as u8)
    }
}

/// The mean of the whole stretched prediction, rounded as NumPy's `mean` rounds it.
///
/// The adaptive threshold is twice this mean and is compared with `>=`: where a level lies on the threshold in exact
/// arithmetic, the rounding of the sum decides the score, so the order of the additions matters.
pub(super) fn mean(prediction: &[u8], min_max: &MinMax) -> f64 {
    let sum = pairwise_sum(&|i| min_max.value(prediction[i]), 0, prediction.len());
    sum / prediction.len() as f64
}

/// The mean of `rows` x `columns` equal values cut out of a larger image, rounded as NumPy's `mean` rounds it.
///
/// NumPy adds a whole contiguous array pairwise; a part of wider rows goes through a buffer of 8192 values, filled with
/// whole rows, pairwise within the buffer and one buffer after the other.
pub(super) fn mean_of_equal(value: f64, rows: usize, columns: usize, contiguous: bool) -> f64 {
    const BUFFER: usize = 8192;
    let count = rows * columns;
    let step = if contiguous { count } else { (BUFFER / columns).max(1) * columns };
    let mut sum = 0.0;
    let mut start = 0;
    while start < count {
        let length = step.min(count - start);
        sum += pairwise_sum(&|_| value, start, length);
        start += length;
    }
    sum / count as f64
}

/// NumPy's pairwise summation: halves down to blocks of at most 128 values, eight running sums in a block.
fn pairwise_sum(value: &impl Fn(usize) -> f64, start: usize, length: usize) -> f64 {
    if length < 8 {
        return (start..start + length).fold(0.0, |sum, i| sum + value(i));
    }
    if length > 128 {
        let half = length / 2;
        let left = half - half % 8;
        return pairwise_sum(value, start, left) + pairwise_sum(value, start + left, length - left);
    }
    let mut running: [f64; 8] = std::array::from_fn(|lane| value(start + lane));
    let whole = length - length % 8;
    for block in (8..whole).step_by(8) {
        for (lane, sum) in running.iter_mut().enumerate() {
            *sum += value(start + block + lane);
        }
    }
    let [a, b, c, d, e, f, g, h] = running;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    (start + whole..start + length).fold(sum, |sum, i| sum + value(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(levels: &[u8]) -> [u32; 256] {
        let mut counts = [0; 256];
        for &level in levels {
            counts[usize::from(level)] += 1;
        }
        counts
    }

    #[test]
    fn lowest_level_becomes_zero_and_highest_one() {
        let min_max = MinMax::of(&histogram(&[50, 100, 150]));
        assert_eq!(min_max.value(50), 0.0);
        assert!((min_max.value(100) - 0.5).abs() < 1e-15);
        assert_eq!(min_max.value(150), 1.0);
        assert_eq!((min_max.threshold(50), min_max.threshold(150)), (0, 255));
    }

    #[test]
    fn a_single_level_is_not_stretched() {
        let min_max = MinMax::of(&histogram(&[51, 51]));
        assert_eq!(min_max.value(51), 51.0 / 255.0);
    }

    #[test]
    fn mean_of_a_few_levels() {
        let levels = [0, 255, 255, 0, 255];
        assert_eq!(mean(&levels, &MinMax::of(&histogram(&levels))), 0.6);
    }

    /// Values of `numpy.full((400, 500), v)[:rows, :columns].mean()` with NumPy 2.3.
    #[test]
    fn means_of_equal_values_round_as_numpy_does() {
        let cases = [
            (207_u8, 35, 1, false, 0.811764705882353),
            (47_u8, 320, 500, true, 0.18431372549019606),
            (11_u8, 38, 3, false, 0.04313725490196078),
            (158_u8, 192, 1, false, 0.6196078431372548),
            (176_u8, 294, 1, false, 0.6901960784313727),
            (115_u8, 157, 500, true, 0.45098039215686286),
            (107_u8, 172, 500, true, 0.41960784313725485),
            (44_u8, 295, 378, false, 0.1725490196078431),
        ];
        for (level, rows, columns, contiguous, expected) in cases {
            let value = f64::from(level) / 255.0;
            assert_eq!(mean_of_equal(value, rows, columns, contiguous), expected, "{level} {rows} {columns}");
        }
    }
}
