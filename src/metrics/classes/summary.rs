//! The scores of a set of images with several classes.

use super::all::METRICS;
use super::error::ClassError;
use super::matrix::ConfusionMatrix;
use super::mean::Mean;
use super::metric::{ClassScore, Scores};
use super::pair::ClassPairScores;
use crate::data::classes::class::ClassKind;
use crate::metrics::confusion::Confusion;

/// The scores of a set of images: of each class, and of all together. Pixels are added up over the set in whole
/// numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSummary {
    kind: ClassKind,
    images: usize,
    matrix: Option<ConfusionMatrix>,
    counts: Vec<Confusion>,
    values: Vec<ClassValue>,
}

/// A score and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClassValue {
    /// Of each class.
    OfClass(&'static ClassScore, Vec<f64>),
    /// Of all classes together, with its name.
    OfSet(&'static str, f64),
}

impl ClassSummary {
    /// The scores of these images, which must be of the same classes. They depend on the order of the slice and nothing
    /// else.
    ///
    /// # Errors
    /// Without images, or when they differ in the kind or the number of classes.
    pub fn of(images: &[ClassPairScores]) -> Result<Self, ClassError> {
        Self::over(images.iter())
    }

    /// The same, for images that do not lie side by side.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn over<'a>(images: impl Iterator<Item = &'a ClassPairScores>) -> Result<Self, ClassError> {
        let images: Vec<_> = images.collect();
        let first = images.first().ok_or(ClassError::Empty)?;
        let of = |image: &ClassPairScores| (image.kind(), image.classes());
        if let Some(other) = images.iter().find(|image| of(image) != of(first)) {
            return Err(ClassError::Mixed(of(first), of(other)));
        }
        let (kind, classes) = of(first);
        Ok(Self::add_up(kind, classes, &images))
    }

    /// The scores of one image.
    pub fn of_image(image: &ClassPairScores) -> Self {
        Self::add_up(image.kind(), image.classes(), &[image])
    }

    /// The scores of images that are all of these classes.
    fn add_up(kind: ClassKind, classes: usize, images: &[&ClassPairScores]) -> Self {
        let mut total = ConfusionMatrix::new(classes);
        images.iter().for_each(|image| image.add_to(&mut total));
        let matrix = (kind == ClassKind::Exclusive).then_some(total);
        let mut counts = vec![Confusion::default(); classes];
        for image in images {
            counts.iter_mut().enumerate().for_each(|(class, sum)| sum.add(*image.counts(class)));
        }
        let mut values = Vec::new();
        for (place, metric) in METRICS.iter().enumerate().filter(|(_, metric)| metric.is_of(kind)) {
            match metric.scores {
                Scores::OfMatrix { key, score } => {
                    values.extend(matrix.as_ref().map(|matrix| ClassValue::OfSet(key, score(matrix))));
                }
                Scores::OfClass { scores, sums, .. } => {
                    let of_class = |class: usize| {
                        let mut sums = sums();
                        images.iter().for_each(|image| sums.add(&image.pair(class, place)));
                        sums.scores()
                    };
                    let found: Vec<Vec<f64>> = (0..classes).map(of_class).collect();
                    values.extend(scores.iter().enumerate().map(|(number, score)| {
                        ClassValue::OfClass(score, found.iter().map(|scores| scores[number]).collect())
                    }));
                }
            }
        }
        Self { kind, images: images.len(), matrix, counts, values }
    }

    /// Whether the classes exclude each other.
    pub fn kind(&self) -> ClassKind {
        self.kind
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// How many images these are the scores of.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The confusion matrix of exclusive classes.
    pub fn confusion(&self) -> Option<&ConfusionMatrix> {
        self.matrix.as_ref()
    }

    /// For each class, how many pixels of the masks are of it; ignored pixels are not.
    pub fn pixels(&self) -> Vec<u64> {
        self.counts.iter().map(|counts| counts.foreground).collect()
    }

    /// For each class, the pixels that the prediction rightly and wrongly takes for it, wrongly leaves out, and rightly
    /// leaves out.
    pub fn counts(&self) -> Vec<[u64; 4]> {
        let of = |counts: &Confusion| {
            [counts.true_positive, counts.false_positive, counts.false_negative(), counts.true_negative()]
        };
        self.counts.iter().map(of).collect()
    }

    /// The score of that name of each class, `IoU` or `image.Dice`; NaN where a class has none.
    pub fn of_class(&self, key: &str) -> Option<&[f64]> {
        self.values.iter().find_map(|value| match value {
            ClassValue::OfClass(score, values) if score.key == key => Some(&values[..]),
            _ => None,
        })
    }

    /// The score of that name of all classes together: `aAcc`; the mean of a score over the classes that have it,
    /// `mIoU` or `image.mDice`; and of exclusive classes over all but class 0, the background, `foreground_mIoU`. NaN
    /// where there is none.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.means().into_iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Each score of all classes together, with its name.
    pub fn means(&self) -> Vec<(&'static str, f64)> {
        let has_background = self.kind == ClassKind::Exclusive;
        let mut found = Vec::new();
        for value in &self.values {
            match value {
                ClassValue::OfSet(key, value) => found.push((*key, *value)),
                ClassValue::OfClass(score, values) => {
                    let Some(keys) = score.mean else { continue };
                    found.push((keys.all, Mean::of(values.iter().copied())));
                    if has_background {
                        found.push((keys.foreground, Mean::of(values.iter().skip(1).copied())));
                    }
                }
            }
        }
        found
    }

    /// Each score, in the order of the table.
    pub(super) fn values(&self) -> &[ClassValue] {
        &self.values
    }
}
