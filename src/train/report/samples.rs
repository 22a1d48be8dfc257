//! `samples.png`: what the model makes of some samples.

use std::path::Path;

use super::error::ReportError;
use crate::data::dataset::Dataset;
use crate::data::example::Flips;
use crate::data::mask::saved_mask;
use crate::data::picture::{SheetRow, contact_sheet};
use crate::data::write::write_png;
use crate::train::learner::Learner;

/// Rows of the contact sheet.
const SAMPLES: usize = 8;
/// Side of one of its pictures, in pixels.
const TILE: usize = 160;

/// Writes `samples.png` into the run's folder: images, predictions and truths of samples spread over
/// `dataset`, at their own size as `predict` would save them.
///
/// # Errors
/// When a sample cannot be read, the model fails, or the file cannot be written.
pub fn write_samples(
    folder: &Path,
    dataset: &dyn Dataset,
    learner: &dyn Learner,
    side: usize,
) -> Result<(), ReportError> {
    let count = dataset.len().min(SAMPLES);
    let rows: Result<Vec<_>, ReportError> = (0..count)
        .map(|row| {
            let index = row * dataset.len() / count;
            let (image, truth) = dataset.pair(index)?;
            let example = dataset.example(index, side, Flips::default())?;
            let logits = learner.predict(&example.image, 1, side)?;
            let prediction = saved_mask(&logits, side, image.width, image.height, false);
            Ok(SheetRow { image, prediction, truth })
        })
        .collect();
    Ok(write_png(&folder.join("samples.png"), &contact_sheet(&rows?, TILE))?)
}
