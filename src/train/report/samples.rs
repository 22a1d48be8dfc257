//! `samples.png`: what the model makes of some samples.

use std::path::Path;

use super::error::ReportError;
use crate::data::class_picture::{paint, with_legend};
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::prediction::{predicted_index, predicted_labels};
use crate::data::dataset::Dataset;
use crate::data::flip::Flips;
use crate::data::mask::saved_mask;
use crate::data::picture::{SheetRow, contact_sheet};
use crate::data::resize::Filter;
use crate::data::truth::Truth;
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
            let classes = dataset.classes();
            let prediction = predicted(&logits, classes, side, image.size());
            // tiles at once, so that large pictures are not held; classes have no colours between theirs
            let tile = |truth: &Truth| match classes {
                Some(_) => paint(&truth.resized(TILE, TILE), classes),
                None => paint(truth, classes).resize(TILE, TILE, Filter::Bilinear),
            };
            let (prediction, truth) = (tile(&prediction), tile(&truth));
            Ok(SheetRow { image: image.resize(TILE, TILE, Filter::Bilinear), prediction, truth })
        })
        .collect();
    let mut sheet = contact_sheet(&rows?, TILE);
    if let Some(classes) = dataset.classes() {
        sheet = with_legend(&sheet, classes);
    }
    Ok(write_png(&folder.join("samples.png"), &sheet)?)
}

/// What the model says at an image's size: a soft mask of one class, or the classes of pixels.
fn predicted(logits: &[f32], classes: Option<&Classes>, side: usize, (width, height): (usize, usize)) -> Truth {
    match classes {
        None => saved_mask(logits, side, width, height, false).into(),
        Some(classes) if classes.kind == ClassKind::Exclusive => {
            Truth::Index(predicted_index(logits, classes.len(), side, width, height))
        }
        Some(classes) => {
            Truth::Labels { masks: predicted_labels(logits, classes.len(), side, width, height), ignored: None }
        }
    }
}
