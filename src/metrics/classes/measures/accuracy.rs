//! The share of pixels that are right about one label, over the set.

use crate::data::classes::class::ClassKind;
use crate::metrics::classes::mean::share;
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, score};
use crate::metrics::confusion::Confusion;

/// The set's pixels.
#[derive(Default)]
pub(crate) struct Accuracy(Confusion);

impl ClassMeasure<1> for Accuracy {
    const TITLE: &'static str = "accuracy: share of the set's pixels that are right about the label";
    const SCORES: [ClassScore; 1] = [score!("Acc")];
    const KIND: Option<ClassKind> = Some(ClassKind::Overlapping);

    fn add(&mut self, pair: &ClassPair<'_>) {
        self.0.add(*pair.counts);
    }

    fn scores(&self) -> [f64; 1] {
        let Self(counts) = self;
        [share(counts.true_positive + counts.true_negative(), counts.foreground + counts.background)]
    }
}
