//! The share of the pixels of a class that are predicted as it, over the set (`Acc` of mmsegmentation 1.2).

use crate::metrics::classes::mean::share;
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, score};
use crate::metrics::confusion::Confusion;

/// The set's pixels.
#[derive(Default)]
pub(crate) struct Recall(Confusion);

impl ClassMeasure<1> for Recall {
    const TITLE: &'static str =
        "recall: share of the pixels of the class that are predicted as it, over the set (Acc of mmsegmentation)";
    const SCORES: [ClassScore; 1] = [score!("Recall").column("Recall", 4)];

    fn add(&mut self, pair: &ClassPair<'_>) {
        self.0.add(*pair.counts);
    }

    fn scores(&self) -> [f64; 1] {
        [share(self.0.true_positive, self.0.foreground)]
    }
}
