//! Boundary IoU (Cheng, Girshick, Dollar, Berg and Kirillov, "Boundary IoU: improving object-centric image segmentation
//! evaluation", CVPR 2021), of the set's rims.

use crate::metrics::classes::masks::ClassMasks;
use crate::metrics::classes::mean::share;
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, Numbers, score};
use crate::metrics::classes::outline::rim;

/// A rim's width: this share of the image's diagonal.
const SHARE_OF_DIAGONAL: f64 = 0.02;

/// The pixels that both rims have, and those that either has.
#[derive(Default)]
pub(crate) struct BoundaryIou {
    both: u64,
    either: u64,
}

impl ClassMeasure<1> for BoundaryIou {
    const TITLE: &'static str =
        "boundary IoU, over the set: IoU of rims as wide as 2 % of the image's diagonal (Cheng et al., CVPR 2021)";
    const SCORES: [ClassScore; 1] = [score!("BoundaryIoU").column("boundary IoU", 4)];
    const OF_MASKS: Option<fn(&ClassMasks<'_>) -> Numbers> = Some(rims);

    fn add(&mut self, pair: &ClassPair<'_>) {
        if let Some([both, either]) = pair.of_masks {
            self.both += both as u64;
            self.either += either as u64;
        }
    }

    fn scores(&self) -> [f64; 1] {
        [share(self.both, self.either)]
    }
}

/// The pixels that both rims have, and those that either has.
fn rims(masks: &ClassMasks<'_>) -> Numbers {
    let wide = rim_width(masks.image);
    let (truth, prediction) = (rim(&masks.truth, wide), rim(&masks.prediction, wide));
    let pixels = || truth.pixels.iter().zip(&prediction.pixels);
    let both = pixels().filter(|(truth, prediction)| **truth & **prediction == 1).count();
    let either = pixels().filter(|(truth, prediction)| **truth | **prediction == 1).count();
    [both as f64, either as f64]
}

/// How many pixels wide the rims of an image of width and height are: at least 1, halves to even as by Python's `round`.
fn rim_width((width, height): (usize, usize)) -> usize {
    let wide = SHARE_OF_DIAGONAL * (width as f64).hypot(height as f64);
    (wide.round_ties_even() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rims_are_a_share_of_the_diagonal() {
        // diagonals of 75, 125 and 175
        let cases = [((1, 1), 1), ((60, 45), 2), ((75, 100), 2), ((140, 105), 4), ((500, 500), 14)];
        for (size, expected) in cases {
            assert_eq!(rim_width(size), expected, "{size:?}");
        }
    }
}
