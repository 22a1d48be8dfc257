//! The normalised surface distance, also called surface Dice (Nikolov et al., "Deep learning to achieve clinically
//! applicable segmentation of head and neck anatomy for radiotherapy", 2018), as MONAI 1.6's `compute_surface_dice`
//! computes it with `use_subvoxels=False`: an outline's length is the number of its edge's pixels.

use crate::metrics::classes::masks::{ClassMasks, EdgeDistances};
use crate::metrics::classes::mean::{Mean, share};
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, Numbers, score};

/// The images' scores.
#[derive(Default)]
pub(crate) struct SurfaceDistance(Mean);

impl ClassMeasure<1> for SurfaceDistance {
    const TITLE: &'static str = "normalised surface distance, or surface Dice (MONAI, without subvoxels): share of \
        both edges' pixels that are within the tolerance of the other edge; the mean over images";
    const SCORES: [ClassScore; 1] = [score!("NSD").column("NSD", 4)];
    const OF_MASKS: Option<fn(&ClassMasks<'_>) -> Numbers> =
        Some(|masks| [nsd(&masks.distances, masks.options.nsd_tolerance), 0.0]);

    fn add(&mut self, pair: &ClassPair<'_>) {
        if let Some([score, _]) = pair.of_masks {
            self.0.add(score);
        }
    }

    fn scores(&self) -> [f64; 1] {
        [self.0.value()]
    }
}

/// The share of both edges' pixels that are within the tolerance of the other edge; 0 where one edge is missing.
///
/// MONAI holds distances and tolerance in single precision, so that three steps of 0.1 are within 0.3.
fn nsd(distances: &EdgeDistances, tolerance: f64) -> f64 {
    let both = || distances.of_truth.iter().chain(&distances.of_prediction);
    let within = both().filter(|&&distance| distance as f32 <= tolerance as f32).count();
    share(within as u64, both().count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let distances = EdgeDistances { of_truth: vec![0.0, 2.0, 2.5], of_prediction: vec![3.0 * 0.1] };
        assert_eq!(nsd(&distances, 2.0), 0.75);
        assert_eq!(nsd(&distances, 0.3), 0.5);
        assert_eq!(nsd(&distances, 0.0), 0.25);
        let alone = EdgeDistances { of_truth: vec![], of_prediction: vec![f64::INFINITY; 3] };
        assert_eq!(nsd(&alone, 1e6), 0.0);
    }
}
