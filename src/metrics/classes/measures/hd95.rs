//! The 95th percentile of the Hausdorff distance, as MONAI 1.6's `compute_hausdorff_distance(percentile=95)`.

use crate::metrics::classes::masks::{ClassMasks, EdgeDistances};
use crate::metrics::classes::mean::Mean;
use crate::metrics::classes::metric::{ClassMeasure, ClassPair, ClassScore, Numbers, score};
use crate::metrics::classes::percentile::percentile;

const PERCENT: f64 = 95.0;

/// The mean of the finite distances, and the number of the others.
#[derive(Default)]
pub(crate) struct Hausdorff {
    finite: Mean,
    infinite: u64,
}

impl ClassMeasure<2> for Hausdorff {
    const TITLE: &'static str = "95th percentile of the Hausdorff distance between edges (MONAI): the mean over the \
        images where it is finite, and the number of images where only one of mask and prediction has the class";
    const SCORES: [ClassScore; 2] =
        [score!("HD95").lower_is_better().column("HD95", 2), ClassScore::count("HD95_infinite")];
    const OF_MASKS: Option<fn(&ClassMasks<'_>) -> Numbers> = Some(|masks| [hd95(&masks.distances), 0.0]);

    fn add(&mut self, pair: &ClassPair<'_>) {
        let Some([distance, _]) = pair.of_masks else { return };
        self.finite.add(distance);
        self.infinite += u64::from(distance.is_infinite());
    }

    fn scores(&self) -> [f64; 2] {
        [self.finite.value(), self.infinite as f64]
    }
}

/// The larger of the 95th percentiles of the distances from either edge to the other; infinite where one edge is
/// missing.
fn hd95(distances: &EdgeDistances) -> f64 {
    let each_way = [&distances.of_truth, &distances.of_prediction];
    if each_way.iter().any(|distances| distances.is_empty()) {
        return f64::INFINITY;
    }
    let [truth, prediction] = each_way.map(|distances| percentile(&mut distances.clone(), PERCENT));
    truth.max(prediction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let distances = |of_truth: &[f64], of_prediction: &[f64]| EdgeDistances {
            of_truth: of_truth.to_vec(),
            of_prediction: of_prediction.to_vec(),
        };
        assert_eq!(hd95(&distances(&[0.0, 1.0], &[3.0])), 3.0);
        assert_eq!(hd95(&distances(&[0.0, 10.0], &[3.0])), 9.5);
        assert_eq!(hd95(&distances(&[], &[f64::INFINITY])), f64::INFINITY);
    }
}
