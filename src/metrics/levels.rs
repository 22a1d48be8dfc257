//! A prediction's levels, counted by what the mask holds at the same pixel.

use super::confusion::Confusion;
use crate::data::mask::FOREGROUND_ABOVE;

/// Pixels by level.
pub(super) type Histogram = [u32; 256];

/// The prediction's levels; most metrics need no more of a pair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Levels {
    /// Where the mask is foreground.
    pub(super) foreground: Histogram,
    /// Where the mask is background.
    pub(super) background: Histogram,
    /// Where the mask is 255: a part of `foreground`.
    pub(super) full: Histogram,
}

impl Levels {
    /// Counts a prediction and its mask, of the same length.
    pub(super) fn count(prediction: &[u8], mask: &[u8]) -> Self {
        let mut tally = Tally::default();
        tally.add(prediction, mask);
        tally.levels()
    }

    /// Levels of the whole prediction.
    pub(super) fn all(&self) -> Histogram {
        sum(&self.foreground, &self.background)
    }

    /// The levels outside a part of the prediction.
    pub(super) fn without(&self, part: &Self) -> Self {
        let rest = |all: &Histogram, part: &Histogram| std::array::from_fn(|level| all[level] - part[level]);
        Self {
            foreground: rest(&self.foreground, &part.foreground),
            background: rest(&self.background, &part.background),
            full: rest(&self.full, &part.full),
        }
    }

    /// The counts of the map that holds every level for which `positive` says yes.
    pub(super) fn confusion(&self, positive: impl Fn(u8) -> bool) -> Confusion {
        Confusion::where_level(&self.foreground, &self.background, positive)
    }
}

/// Levels while they are counted.
pub(super) struct Tally {
    /// Of background, of foreground below 255 and of foreground at 255. There are two of each, and neighbours are added
    /// to different ones: equal neighbours, the usual case, would wait for each other.
    classes: [[Histogram; 3]; 2],
}

impl Default for Tally {
    fn default() -> Self {
        Self { classes: [[[0; 256]; 3]; 2] }
    }
}

impl Tally {
    /// Adds a part of a prediction and the same part of its mask.
    pub(super) fn add(&mut self, prediction: &[u8], mask: &[u8]) {
        for (k, (&level, &mask)) in prediction.iter().zip(mask).enumerate() {
            let class = usize::from(mask > FOREGROUND_ABOVE) + usize::from(mask == u8::MAX);
            self.classes[k % 2][class][usize::from(level)] += 1;
        }
    }

    /// What was counted.
    pub(super) fn levels(&self) -> Levels {
        let [even, odd] = &self.classes;
        let [background, partial, full] = std::array::from_fn(|class| sum(&even[class], &odd[class]));
        Levels { foreground: sum(&partial, &full), background, full }
    }
}

fn sum(a: &Histogram, b: &Histogram) -> Histogram {
    std::array::from_fn(|level| a[level] + b[level])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fall_into_their_classes() {
        let counted = Levels::count(&[1, 2, 2, 3, 4], &[0, 128, 129, 254, 255]);
        let levels = |histogram: &Histogram| (0..256).filter(|&level| histogram[level] > 0).collect::<Vec<usize>>();
        assert_eq!(levels(&counted.background), [1, 2]);
        assert_eq!(levels(&counted.foreground), [2, 3, 4]);
        assert_eq!(levels(&counted.full), [4]);
        assert_eq!(counted.all()[..5], [0, 1, 2, 1, 1]);
        let above_1 = Confusion { true_positive: 3, false_positive: 1, foreground: 3, background: 2 };
        let rest = counted.without(&Levels::count(&[2, 4], &[128, 255]));
        assert_eq!(rest, Levels::count(&[1, 2, 3], &[0, 129, 254]));
        assert_eq!(counted.confusion(|level| level > 1), above_1);
    }
}
