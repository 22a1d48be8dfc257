//! The confusion matrix of one binary map.

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

    pub(super) fn positive(&self) -> u64 {
        self.true_positive + self.false_positive
    }

    pub(super) fn false_negative(&self) -> u64 {
        self.foreground - self.true_positive
    }

    pub(super) fn true_negative(&self) -> u64 {
        self.background - self.false_positive
    }
}

/// `numerator / denominator`, 0 where the denominator is.
pub(super) fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_histogram() {
        let (mut on, mut off) = ([0; 256], [0; 256]);
        on[200] = 2;
        on[10] = 2;
        off[255] = 1;
        off[0] = 5;
        let counts = Confusion::where_level(&on, &off, |level| level > 100);
        assert_eq!(counts, Confusion { true_positive: 2, false_positive: 1, foreground: 4, background: 6 });
        assert_eq!((counts.positive(), counts.false_negative(), counts.true_negative()), (3, 2, 5));
    }
}
