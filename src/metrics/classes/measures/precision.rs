//! The share of the pixels predicted as a class that are of it, over the set (mmsegmentation 1.2).

use crate::metrics::classes::mean::share;
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, score};
use crate::metrics::confusion::Confusion;

/// The set's pixels.
#[derive(Default)]
pub(crate) struct Precision(Confusion);

impl ClassMeasure<1> for Precision {
    const TITLE: &'static str = "precision: share of the pixels predicted as the class that are of it, over the set";
    const SCORES: [ClassScore; 1] = [score!("Precision").column("Precision", 4)];

    fn add(&mut self, pair: &ClassPair<'_>) {
        self.0.add(*pair.counts);
    }

    fn scores(&self) -> [f64; 1] {
        [share(self.0.true_positive, self.0.positive())]
    }
}
