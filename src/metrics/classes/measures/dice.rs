//! The Dice coefficient of a class: over the set as mmsegmentation 1.2, and as the mean over images (nnU-Net 2).

use crate::metrics::classes::mean::{Mean, share};
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, score};
use crate::metrics::confusion::Confusion;

/// The set's pixels, and the images' scores.
#[derive(Default)]
pub(crate) struct Dice {
    set: Confusion,
    images: Mean,
}

impl ClassMeasure<2> for Dice {
    const TITLE: &'static str = "Dice coefficient, over the set (mmsegmentation), and as the mean over the images that \
        show or predict the class (nnU-Net)";
    const SCORES: [ClassScore; 2] = [score!("Dice").column("Dice", 4), score!("image"."Dice")];

    fn add(&mut self, pair: &ClassPair<'_>) {
        self.set.add(*pair.counts);
        self.images.add(dice(pair.counts));
    }

    fn scores(&self) -> [f64; 2] {
        [dice(&self.set), self.images.value()]
    }
}

/// 2 TP / (2 TP + FP + FN); NaN where neither mask nor prediction has the class.
fn dice(counts: &Confusion) -> f64 {
    share(2 * counts.true_positive, counts.foreground + counts.positive())
}
