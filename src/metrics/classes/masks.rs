//! The pixels of one class in the mask and in the prediction of an image.

use super::bounds::Bounds;
use super::options::OutlineOptions;
use super::outline::edge;
use super::region::Region;
use crate::metrics::nearest::NearestForeground;

/// The pixels of one class in the mask and in the prediction of an image, where nothing is ignored; at least one.
///
/// Both are cut to the smallest box around them: what lies outside an image is not of the class either, so that neither
/// edges nor rims nor distances change.
pub(super) struct ClassMasks<'a> {
    /// What is right.
    pub(super) truth: Region,
    /// What is scored.
    pub(super) prediction: Region,
    /// Width and height of the image.
    pub(super) image: (usize, usize),
    /// The distances between their edges.
    pub(super) distances: EdgeDistances,
    /// How outlines are compared.
    pub(super) options: &'a OutlineOptions,
}

impl<'a> ClassMasks<'a> {
    /// The class whose pixels, by their number, lie in these bounds of an image of width and height.
    pub(super) fn new(
        bounds: &Bounds,
        image: (usize, usize),
        truth: impl Fn(usize) -> bool,
        prediction: impl Fn(usize) -> bool,
        options: &'a OutlineOptions,
    ) -> Self {
        let (truth, prediction) = (Region::within(bounds, image.0, truth), Region::within(bounds, image.0, prediction));
        let distances = EdgeDistances::between(&truth, &prediction, options);
        Self { truth, prediction, image, distances, options }
    }
}

/// How far each pixel of an edge is from the nearest pixel of another edge; infinitely far where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EdgeDistances {
    /// From each pixel of the truth's edge to the prediction's.
    pub(super) of_truth: Vec<f64>,
    /// From each pixel of the prediction's edge to the truth's.
    pub(super) of_prediction: Vec<f64>,
}

impl EdgeDistances {
    fn between(truth: &Region, prediction: &Region, options: &OutlineOptions) -> Self {
        let (truth, prediction) = (edge(truth), edge(prediction));
        Self {
            of_truth: distances(&truth, &prediction, options),
            of_prediction: distances(&prediction, &truth, options),
        }
    }
}

/// Steps of a search for each pixel of a row, which take about as long as the whole row at once.
const STEPS: usize = 4;

/// From each pixel of a region to the nearest pixel of another of the same size.
fn distances(from: &Region, to: &Region, options: &OutlineOptions) -> Vec<f64> {
    if to.is_empty() {
        return vec![f64::INFINITY; from.pixels.iter().filter(|&&pixel| pixel == 1).count()];
    }
    let spacing = options.spacing;
    let mut nearest = NearestForeground::new(&to.pixels, to.width, spacing, |pixel| pixel == 1);
    let mut found = Vec::new();
    for (y, row) in from.pixels.chunks_exact(from.width).enumerate() {
        let columns = || (0..row.len()).filter(|&x| row[x] == 1);
        // edges mostly lie near each other, and are short; where they do not, all of the row is computed at once, in
        // linear time
        let (before, mut steps) = (found.len(), STEPS * row.len());
        let near = columns().map_while(|x| nearest.distance_near(y, x, &mut steps));
        found.extend(near);
        if found.len() - before < columns().count() {
            found.truncate(before);
            let places = nearest.row(y);
            let distance = |x: usize| spacing.distance(places[x].row.abs_diff(y), places[x].column.abs_diff(x));
            found.extend(columns().map(distance));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::spacing::Spacing;

    #[test]
    fn distances_by_hand() {
        let bounds = Bounds { rows: 0..1, columns: 1..6 };
        let (truth, prediction) = ([0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0]);
        let options = OutlineOptions { spacing: Spacing::new(1.0, 0.5).expect("a spacing"), nsd_tolerance: 0.0 };
        let masks = ClassMasks::new(&bounds, (7, 1), |at| truth[at] == 1, |at| prediction[at] == 1, &options);
        assert_eq!(masks.truth.pixels, [1, 0, 0, 0, 0]);
        assert_eq!(masks.distances, EdgeDistances { of_truth: vec![1.5], of_prediction: vec![1.5, 2.0] });
        let alone = ClassMasks::new(&bounds, (7, 1), |_| false, |at| prediction[at] == 1, &options);
        assert!(alone.distances.of_truth.is_empty());
        assert_eq!(alone.distances.of_prediction, [f64::INFINITY; 2]);
    }
}
