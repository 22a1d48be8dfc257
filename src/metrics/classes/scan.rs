//! One look at a pair of index maps.

use super::bounds::Bounds;
use super::error::{ClassError, IndexMap};

/// The value of an index map where a pixel is ignored.
pub const IGNORED: u8 = 255;

/// What a pair of index maps holds.
pub(super) struct Scan {
    /// Pixels with each value of the mask and of the prediction: `[mask * 256 + prediction]`.
    pixels: Vec<u64>,
    /// For each value, a box around its pixels in both, where nothing is ignored.
    bounds: Vec<Bounds>,
}

impl Scan {
    /// Looks at a mask and a prediction of equal length, rows of `width` pixels.
    pub(super) fn of(truth: &[u8], prediction: &[u8], width: usize) -> Self {
        let (mut pixels, mut bounds) = (vec![0; 256 * 256], vec![Bounds::default(); 256]);
        for (y, (truth, prediction)) in truth.chunks_exact(width).zip(prediction.chunks_exact(width)).enumerate() {
            let mut from = 0;
            // maps are made of runs
            while from < width {
                let run = (truth[from], prediction[from]);
                let same = truth[from..].iter().zip(&prediction[from..]).take_while(|pair| (*pair.0, *pair.1) == run);
                let to = from + same.count();
                let (of_truth, of_prediction) = (usize::from(run.0), usize::from(run.1));
                pixels[of_truth * 256 + of_prediction] += (to - from) as u64;
                if run.0 != IGNORED {
                    bounds[of_truth].include(y, from..to);
                    bounds[of_prediction].include(y, from..to);
                }
                from = to;
            }
        }
        Self { pixels, bounds }
    }

    /// The pixels that are not ignored: values of the mask and of the prediction, and their number.
    pub(super) fn pixels(&self) -> impl Iterator<Item = (u8, u8, u64)> {
        let rows = (0..IGNORED).zip(self.pixels.chunks_exact(256));
        let cells = rows.flat_map(|(truth, row)| (0..=255).zip(row).map(move |(value, count)| (truth, value, *count)));
        cells.filter(|(.., count)| *count > 0)
    }

    /// A box around the pixels of a value in both, where nothing is ignored.
    pub(super) fn bounds(&self, value: usize) -> &Bounds {
        &self.bounds[value]
    }

    /// Refuses values that are no class.
    pub(super) fn check(&self, classes: usize) -> Result<(), ClassError> {
        let unknown = |value: u8| usize::from(value) >= classes;
        self.refuse(classes, IndexMap::Mask, |truth, _| unknown(truth).then_some(truth))?;
        self.refuse(classes, IndexMap::Prediction, |_, prediction| unknown(prediction).then_some(prediction))
    }

    /// Refuses the values that `unknown` gives for some pixels.
    fn refuse(&self, classes: usize, map: IndexMap, unknown: impl Fn(u8, u8) -> Option<u8>) -> Result<(), ClassError> {
        let mut counts = [0; 256];
        for (truth, prediction, pixels) in self.pixels() {
            if let Some(value) = unknown(truth, prediction) {
                counts[usize::from(value)] += pixels;
            }
        }
        let mut found: Vec<(u8, u64)> = (0..=255).zip(counts).filter(|(_, pixels)| *pixels > 0).collect();
        found.sort_by_key(|(_, pixels)| std::cmp::Reverse(*pixels));
        if found.is_empty() { Ok(()) } else { Err(ClassError::Unknown { map, found, classes }) }
    }
}
