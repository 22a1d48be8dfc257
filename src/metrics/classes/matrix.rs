//! The confusion matrix of exclusive classes.

use serde::ser::{Serialize, Serializer};

use crate::metrics::confusion::Confusion;

/// How many pixels of each class were predicted as each class, in whole numbers. Serialises as rows,
/// `[truth][prediction]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    pixels: Vec<u64>,
}

impl ConfusionMatrix {
    /// Of no pixels.
    pub(super) fn new(classes: usize) -> Self {
        Self { classes, pixels: vec![0; classes * classes] }
    }

    /// Adds pixels of a class that were predicted as a class.
    pub(super) fn add(&mut self, truth: u8, prediction: u8, pixels: u64) {
        self.pixels[usize::from(truth) * self.classes + usize::from(prediction)] += pixels;
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// For each class in turn, how many of its pixels were predicted as each class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.pixels.chunks_exact(self.classes)
    }

    /// All pixels that were counted.
    pub fn total(&self) -> u64 {
        self.pixels.iter().sum()
    }

    /// The pixels that were predicted as what they are.
    pub fn right(&self) -> u64 {
        self.pixels.iter().step_by(self.classes + 1).sum()
    }

    /// For each class in turn, how it agrees with the prediction, all others taken together.
    pub(super) fn by_class(&self) -> Vec<Confusion> {
        let total = self.total();
        let mut predicted = vec![0; self.classes];
        for row in self.rows() {
            predicted.iter_mut().zip(row).for_each(|(sum, pixels)| *sum += pixels);
        }
        let of_class = |(class, (row, predicted)): (usize, (&[u64], u64))| {
            let foreground: u64 = row.iter().sum();
            let true_positive = row[class];
            let false_positive = predicted - true_positive;
            Confusion { true_positive, false_positive, foreground, background: total - foreground }
        };
        self.rows().zip(predicted).enumerate().map(of_class).collect()
    }
}

impl Serialize for ConfusionMatrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut matrix = ConfusionMatrix::new(2);
        for (truth, prediction, pixels) in [(0, 0, 5), (0, 1, 1), (1, 0, 2), (1, 1, 3), (1, 1, 1)] {
            matrix.add(truth, prediction, pixels);
        }
        assert_eq!(matrix.rows().collect::<Vec<_>>(), [[5, 1], [2, 4]]);
        assert_eq!((matrix.total(), matrix.right()), (12, 9));
        let expected = [
            Confusion { true_positive: 5, false_positive: 2, foreground: 6, background: 6 },
            Confusion { true_positive: 4, false_positive: 1, foreground: 6, background: 6 },
        ];
        assert_eq!(matrix.by_class(), expected);
        assert_eq!(serde_json::to_string(&matrix).expect("numbers"), "[[5,1],[2,4]]");
    }
}
