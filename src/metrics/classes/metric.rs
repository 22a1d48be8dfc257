//! What a metric of several classes is.

use super::masks::ClassMasks;
use super::matrix::ConfusionMatrix;
use crate::data::classes::class::ClassKind;
use crate::metrics::confusion::Confusion;

/// One class in one image, as a metric adds it to its sums.
pub(super) struct ClassPair<'a> {
    /// Pixels of the class and of all others together.
    pub(super) counts: &'a Confusion,
    /// What the metric's own [`ClassMeasure::OF_MASKS`] gave; `None` where mask and prediction both lack the class,
    /// where outlines are not compared, and for a metric that has none.
    pub(super) of_masks: Option<Numbers>,
}

/// What is kept of an image where positions matter; whole numbers up to 2^53 are exact.
pub(super) type Numbers = [f64; 2];

/// A metric of a class: running sums over images, and the `N` scores that follow from them.
///
/// The default value is the sums of no images. A metric is a file in `classes/measures` and a line in `classes/all.rs`.
pub(super) trait ClassMeasure<const N: usize>: Default + 'static {
    /// What it is, for people: its name, its parameters, and where it is from.
    const TITLE: &'static str;

    /// Its scores.
    const SCORES: [ClassScore; N];

    /// The only kind of classes that has this metric, if not both have it.
    const KIND: Option<ClassKind> = None;

    /// Numbers that need the pixels' positions, of a class that is in the mask or in the prediction of an image. They
    /// are computed once for each image and class; the masks themselves are not kept.
    const OF_MASKS: Option<fn(&ClassMasks<'_>) -> Numbers> = None;

    /// Adds an image to the sums.
    fn add(&mut self, pair: &ClassPair<'_>);

    /// The scores of all the images added, in the order of [`Self::SCORES`]; NaN where there are none.
    fn scores(&self) -> [f64; N];
}

/// A metric of all classes together: a number that follows from the confusion matrix of the set.
pub(super) trait MatrixMeasure: 'static {
    /// What it is, for people.
    const TITLE: &'static str;

    /// The name of its score.
    const KEY: &'static str;

    /// The score; larger is better. NaN where there is none.
    fn score(matrix: &ConfusionMatrix) -> f64;
}

/// A score of each class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClassScore {
    /// Its name. Before a dot stands the object that it lies in.
    pub(super) key: &'static str,
    /// The mean over the classes that have the score.
    pub(super) mean: Option<MeanKeys>,
    /// Whether less is better.
    pub(super) lower_is_better: bool,
    /// What stands above it in the table, and its decimals.
    pub(super) column: Option<(&'static str, usize)>,
}

/// The names of a score's means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MeanKeys {
    /// Over all classes.
    pub(super) all: &'static str,
    /// Over all but class 0, the background of exclusive classes.
    pub(super) foreground: &'static str,
}

/// The names of a score and of its means: `IoU`, `mIoU` and `foreground_mIoU`; within an object, `image.Dice`,
/// `image.mDice` and `image.foreground_mDice`.
macro_rules! score {
    ($name:literal) => {
        $crate::metrics::classes::metric::ClassScore::new($name, concat!("m", $name), concat!("foreground_m", $name))
    };
    ($object:literal . $name:literal) => {
        $crate::metrics::classes::metric::ClassScore::new(
            concat!($object, ".", $name),
            concat!($object, ".m", $name),
            concat!($object, ".foreground_m", $name),
        )
    };
}
pub(super) use score;

impl ClassScore {
    /// A score with means, of which more is better. Spelled by [`score!`].
    pub(super) const fn new(key: &'static str, all: &'static str, foreground: &'static str) -> Self {
        Self { key, mean: Some(MeanKeys { all, foreground }), lower_is_better: false, column: None }
    }

    /// A number of images, which has no mean.
    pub(super) const fn count(key: &'static str) -> Self {
        Self { key, mean: None, lower_is_better: true, column: None }
    }

    /// The score, of which less is better.
    pub(super) const fn lower_is_better(self) -> Self {
        Self { lower_is_better: true, ..self }
    }

    /// The score, in the table under this heading with so many decimals.
    pub(super) const fn column(self, heading: &'static str, decimals: usize) -> Self {
        Self { column: Some((heading, decimals)), ..self }
    }

    /// Whether it is a number of images.
    pub(super) const fn is_count(&self) -> bool {
        self.mean.is_none()
    }
}

/// A row of the table of metrics: a [`ClassMeasure`] or a [`MatrixMeasure`] without its type.
pub(super) struct ClassMetric {
    /// What it is, for people.
    pub(super) title: &'static str,
    /// The only kind of classes that has this metric, if not both have it.
    pub(super) kind: Option<ClassKind>,
    /// How it is computed.
    pub(super) scores: Scores,
}

/// How a metric is computed.
pub(super) enum Scores {
    /// For each class.
    OfClass {
        /// [`ClassMeasure::SCORES`].
        scores: &'static [ClassScore],
        /// [`ClassMeasure::OF_MASKS`].
        of_masks: Option<fn(&ClassMasks<'_>) -> Numbers>,
        /// The sums of no images.
        sums: fn() -> Box<dyn ClassSums>,
    },
    /// For all classes together.
    OfMatrix {
        /// [`MatrixMeasure::KEY`].
        key: &'static str,
        /// [`MatrixMeasure::score`].
        score: fn(&ConfusionMatrix) -> f64,
    },
}

impl ClassMetric {
    pub(super) const fn of_class<M: ClassMeasure<N>, const N: usize>() -> Self {
        let scores = Scores::OfClass {
            scores: const { &M::SCORES },
            of_masks: M::OF_MASKS,
            sums: || Box::new(SumsOf::<M, N>(M::default())),
        };
        Self { title: M::TITLE, kind: M::KIND, scores }
    }

    pub(super) const fn of_matrix<M: MatrixMeasure>() -> Self {
        let scores = Scores::OfMatrix { key: M::KEY, score: M::score };
        Self { title: M::TITLE, kind: Some(ClassKind::Exclusive), scores }
    }

    /// Its scores of each class.
    pub(super) fn class_scores(&self) -> &'static [ClassScore] {
        match self.scores {
            Scores::OfClass { scores, .. } => scores,
            Scores::OfMatrix { .. } => &[],
        }
    }

    /// How it compares outlines, if it does.
    pub(super) fn of_masks(&self) -> Option<fn(&ClassMasks<'_>) -> Numbers> {
        match self.scores {
            Scores::OfClass { of_masks, .. } => of_masks,
            Scores::OfMatrix { .. } => None,
        }
    }

    /// Whether classes of this kind have it.
    pub(super) fn is_of(&self, kind: ClassKind) -> bool {
        self.kind.is_none_or(|only| only == kind)
    }
}

/// The sums of some metric.
pub(super) trait ClassSums {
    /// As [`ClassMeasure::add`].
    fn add(&mut self, pair: &ClassPair<'_>);

    /// As [`ClassMeasure::scores`].
    fn scores(&self) -> Vec<f64>;
}

struct SumsOf<M, const N: usize>(M);

impl<M: ClassMeasure<N>, const N: usize> ClassSums for SumsOf<M, N> {
    fn add(&mut self, pair: &ClassPair<'_>) {
        self.0.add(pair);
    }

    fn scores(&self) -> Vec<f64> {
        self.0.scores().into()
    }
}
