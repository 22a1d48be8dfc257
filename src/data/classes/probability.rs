//! From a model's logits to the probabilities of its classes, at an image's size.

use super::class::ClassKind;
use crate::data::mask::Bilinear;
use crate::data::pixels::Grey;

/// The probabilities of classes at each pixel, computed for one class at a time: of classes that exclude each other the softmax of
/// the logits, of classes that overlap each one's sigmoid. Logits are resized first, bilinearly (`align_corners=False`).
pub struct Probabilities<'l> {
    logits: &'l [f32],
    side: usize,
    size: (usize, usize),
    resize: Bilinear,
    /// The largest logit of each pixel, and the sum of the exponentials of the others' distances to it.
    softmax: Option<(Vec<f32>, Vec<f32>)>,
}

impl<'l> Probabilities<'l> {
    /// Of logits `(classes, side, side)`, at a width and height.
    ///
    /// # Panics
    /// When `side` is 0 or `logits` does not hold whole square maps of it.
    pub fn of(logits: &'l [f32], kind: ClassKind, side: usize, size: (usize, usize)) -> Self {
        assert!(side > 0 && logits.len().is_multiple_of(side * side), "logits of square maps of side {side}");
        let resize = Bilinear::new((side, side), size);
        let mut probabilities = Self { logits, side, size, resize, softmax: None };
        if kind == ClassKind::Exclusive {
            let pixels = size.0 * size.1;
            let (mut largest, mut sum) = (vec![f32::NEG_INFINITY; pixels], vec![0.0; pixels]);
            for class in 0..probabilities.classes() {
                probabilities.each_row(class, |at, row| {
                    largest[at..].iter_mut().zip(row).for_each(|(largest, logit)| *largest = largest.max(*logit));
                });
            }
            for class in 0..probabilities.classes() {
                probabilities.each_row(class, |at, row| {
                    let terms = sum[at..].iter_mut().zip(&largest[at..]).zip(row);
                    terms.for_each(|((sum, largest), logit)| *sum += (logit - largest).exp());
                });
            }
            probabilities.softmax = Some((largest, sum));
        }
        probabilities
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.logits.len() / (self.side * self.side)
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The probability of one class at each pixel, row by row, in `0..=1`.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn class(&self, class: usize) -> Vec<f32> {
        let mut map = Vec::with_capacity(self.size.0 * self.size.1);
        self.each_row(class, |at, row| match &self.softmax {
            Some((largest, sum)) => {
                let pixels = row.iter().zip(&largest[at..]).zip(&sum[at..]);
                map.extend(pixels.map(|((logit, largest), sum)| (logit - largest).exp() / sum));
            }
            None => map.extend(row.iter().map(|logit| 1.0 / (1.0 + (-logit).exp()))),
        });
        map
    }

    /// The same in 8 bits: `floor(255 p)`, and 0 for what is no number.
    ///
    /// # Panics
    /// As [`class`](Self::class).
    pub fn levels(&self, class: usize) -> Grey {
        let (width, height) = self.size;
        // `as` truncates, saturates, and turns NaN into 0
        Grey { width, height, data: self.class(class).iter().map(|p| (p * 255.0) as u8).collect() }
    }

    /// Gives each row of a class's resized logits, and where it begins.
    fn each_row(&self, class: usize, mut take: impl FnMut(usize, &[f32])) {
        let (width, height) = self.size;
        let map = &self.logits[class * self.side * self.side..][..self.side * self.side];
        let mut row = vec![0.0; width];
        for y in 0..height {
            self.resize.row(map, y, &mut row);
            take(y * width, &row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::mask::saved_mask;

    /// Three classes on a map of side 2.
    const LOGITS: [f32; 12] = [0.0, 1.0, -2.0, 300.0, 0.0, 2.0, 5.0, -300.0, 0.0, -1.0, 0.5, 0.0];

    #[test]
    fn probabilities_of_classes_that_exclude_each_other_sum_to_one() {
        let probabilities = Probabilities::of(&LOGITS, ClassKind::Exclusive, 2, (5, 3));
        let maps: Vec<Vec<f32>> = (0..probabilities.classes()).map(|class| probabilities.class(class)).collect();
        assert_eq!((maps.len(), maps[0].len()), (3, 15));
        for pixel in 0..15 {
            let sum: f32 = maps.iter().map(|map| map[pixel]).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
        // at the source's size nothing is resized
        let same = Probabilities::of(&LOGITS, ClassKind::Exclusive, 2, (2, 2));
        assert_eq!((same.class(0)[0], same.class(0)[3], same.class(1)[3]), (1.0 / 3.0, 1.0, 0.0));
        assert_eq!(same.levels(2).data[0], 85);
    }

    #[test]
    fn each_class_that_overlaps_is_a_mask_of_its_own() {
        let probabilities = Probabilities::of(&LOGITS, ClassKind::Overlapping, 2, (4, 3));
        for class in 0..3 {
            assert_eq!(probabilities.levels(class), saved_mask(&LOGITS[4 * class..][..4], 2, 4, 3, false));
        }
    }
}
