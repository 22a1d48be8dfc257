//! Intersection over union of a class: over the set as mmsegmentation 1.2, and as the mean over images (nnU-Net 2).

use crate::metrics::classes::mean::{Mean, share};
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, score};
use crate::metrics::confusion::Confusion;

/// The set's pixels, and the images' scores.
#[derive(Default)]
pub(crate) struct Iou {
    set: Confusion,
    images: Mean,
}

impl ClassMeasure<2> for Iou {
    const TITLE: &'static str = "intersection over union, over the set (mmsegmentation), and as the mean over the \
        images that show or predict the class (nnU-Net)";
    const SCORES: [ClassScore; 2] = [score!("IoU").column("IoU", 4), score!("image"."IoU")];

    fn add(&mut self, pair: &ClassPair<'_>) {
        self.set.add(*pair.counts);
        self.images.add(iou(pair.counts));
    }

    fn scores(&self) -> [f64; 2] {
        [iou(&self.set), self.images.value()]
    }
}

/// TP / (TP + FP + FN); NaN where neither mask nor prediction has the class.
fn iou(counts: &Confusion) -> f64 {
    share(counts.true_positive, counts.foreground + counts.false_positive)
}
