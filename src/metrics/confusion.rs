//! What follows from counts alone: a confusion matrix and the measures of one binary map.

use super::epsilon::EPSILON;

/// beta^2 of the F-measure (Achanta et al., CVPR 2009).
pub(super) const BETA_SQUARED: f64 = 0.3;

/// How a binary map agrees with a mask, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Confusion {
    pub(super) true_positive: u64,
    pub(super) false_positive: u64,
    pub(super) foreground: u64,
    pub(super) background: u64,
}

impl Confusion {
    /// The counts of the map that holds every level for which `positive` says yes.
    pub(super) fn where_level(foreground: &[u32; 256], background: &[u32; 256], positive: impl Fn(u8) -> bool) -> Self {
        let mut counts = Self::default();
        for level in 0..=255_u8 {
            let (on, off) = (foreground[usize::from(level)], background[usize::from(level)]);
            counts.foreground += u64::from(on);
            counts.background += u64::from(off);
            if positive(level) {
                counts.true_positive += u64::from(on);
                counts.false_positive += u64::from(off);
            }
        }
        counts
    }

    pub(super) fn add(&mut self, other: Self) {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.foreground += other.foreground;
        self.background += other.background;
    }

    fn positive(&self) -> u64 {
        self.true_positive + self.false_positive
    }

    fn false_negative(&self) -> u64 {
        self.foreground - self.true_positive
    }

    fn true_negative(&self) -> u64 {
        self.background - self.false_positive
    }

    /// 2 TP / (2 TP + FP + FN); 0 where map and mask are both empty.
    pub(super) fn dice(&self) -> f64 {
        ratio(2 * self.true_positive, self.foreground + self.positive())
    }

    /// TP / (TP + FP + FN); 0 where map and mask are both empty.
    pub(super) fn iou(&self) -> f64 {
        ratio(self.true_positive, self.foreground + self.false_positive)
    }

    /// 1 - (sensitivity + specificity) / 2; a part whose class is absent counts as 0.
    pub(super) fn balanced_error_rate(&self) -> f64 {
        let sensitivity = ratio(self.true_positive, self.foreground);
        let specificity = ratio(self.true_negative(), self.background);
        1.0 - 0.5 * (sensitivity + specificity)
    }

    /// (1 + beta^2) P R / (beta^2 P + R); 0 without a true positive.
    pub(super) fn f_measure(&self) -> f64 {
        if self.true_positive == 0 {
            return 0.0;
        }
        let precision = ratio(self.true_positive, self.positive());
        let recall = ratio(self.true_positive, self.foreground);
        (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    }

    /// The enhanced-alignment measure (Fan et al., IJCAI 2018).
    ///
    /// Of four kinds of pixels each has one value, so counts are enough. The sum is divided by one less than the number
    /// of pixels, as in the authors' code: a perfect map of N pixels scores N / (N - 1), and a single pixel's score means nothing.
    pub(super) fn e_measure(&self) -> f64 {
        let pixels = (self.foreground + self.background) as f64;
        let positive = self.positive();
        let sum = if self.foreground == 0 {
            pixels - positive as f64
        } else if self.background == 0 {
            positive as f64
        } else {
            let map_mean = positive as f64 / pixels;
            let mask_mean = self.foreground as f64 / pixels;
            [
                (self.true_positive, 1.0 - map_mean, 1.0 - mask_mean),
                (self.false_positive, 1.0 - map_mean, -mask_mean),
                (self.false_negative(), -map_mean, 1.0 - mask_mean),
                (self.true_negative(), -map_mean, -mask_mean),
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
}

/// `numerator / denominator`, 0 where the denominator is.
pub(super) fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// TP 2, FP 1, FN 2, TN 5.
    const SMALL: Confusion = Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 };

    #[test]
    fn by_hand() {
        assert_abs_diff_eq!(SMALL.dice(), 4.0 / 7.0, epsilon = 1e-15);
        assert_abs_diff_eq!(SMALL.iou(), 2.0 / 5.0, epsilon = 1e-15);
        assert_abs_diff_eq!(SMALL.balanced_error_rate(), 1.0 - (0.5 + 5.0 / 6.0) / 2.0, epsilon = 1e-15);
        // precision 2/3, recall 1/2: 1.3 / 3 / (0.2 + 0.5)
        assert_abs_diff_eq!(SMALL.f_measure(), 1.3 / 3.0 / 0.7, epsilon = 1e-15);
    }

    #[test]
    fn e_measure_by_hand() {
        // means 0.3 and 0.4; alignment of each kind: 2ab / (a^2 + b^2)
        let phi = |a: f64, b: f64| (2.0 * a * b / (a * a + b * b) + 1.0).powi(2) / 4.0;
        let sum = 2.0 * phi(0.7, 0.6) + phi(0.7, -0.4) + 2.0 * phi(-0.3, 0.6) + 5.0 * phi(-0.3, -0.4);
        assert_abs_diff_eq!(SMALL.e_measure(), sum / 9.0, epsilon = 1e-14);
    }

    #[test]
    fn e_measure_of_one_sided_masks() {
        let empty = Confusion { false_positive: 3, background: 10, ..Confusion::default() };
        assert_abs_diff_eq!(empty.e_measure(), 7.0 / 9.0, epsilon = 1e-15);
        let full = Confusion { true_positive: 3, foreground: 10, ..Confusion::default() };
        assert_abs_diff_eq!(full.e_measure(), 3.0 / 9.0, epsilon = 1e-15);
    }

    #[test]
    fn nothing_predicted_and_nothing_there() {
        let nothing = Confusion { background: 10, ..Confusion::default() };
        assert_eq!(nothing.dice(), 0.0);
        assert_eq!(nothing.iou(), 0.0);
        assert_eq!(nothing.f_measure(), 0.0);
        assert_eq!(nothing.balanced_error_rate(), 0.5);
    }

    #[test]
    fn counts_of_a_histogram() {
        let (mut on, mut off) = ([0; 256], [0; 256]);
        on[200] = 2;
        on[10] = 2;
        off[255] = 1;
        off[0] = 5;
        assert_eq!(Confusion::where_level(&on, &off, |level| level > 100), SMALL);
    }
}
