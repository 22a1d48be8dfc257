//! What a model says of one image.

use super::options::PredictOptions;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::prediction::predicted_index;
use crate::data::classes::probability::Probabilities;
use crate::data::mask::saved_mask;
use crate::data::pixels::Grey;
use crate::data::truth::Truth;

/// What a model says of one image: logits of a square map for each class, of which masks of any size are made.
#[derive(Clone, Debug)]
pub struct Prediction<'m> {
    pub(super) logits: Vec<f32>,
    pub(super) classes: Option<&'m Classes>,
    pub(super) options: PredictOptions,
}

impl Prediction<'_> {
    /// The logits `(classes, side, side)`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The side of their maps.
    pub fn side(&self) -> usize {
        self.options.size
    }

    /// The classes; `None`: one without a name.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes
    }

    /// What is said of each pixel of the image at a size, `(width, height)`; logits are resized to it first. It has the form of what
    /// is true: an index map of classes that exclude each other, each pixel of the class with the largest logit; a soft mask for each
    /// class that may overlap; one soft mask ([`Truth::Mask`]) where the model's only class has no name. Soft masks are stretched, or
    /// made black and white, as the options say.
    pub fn at(&self, (width, height): (usize, usize)) -> Truth {
        let Some(classes) = self.classes else { return Truth::Mask(self.mask(&self.logits, width, height)) };
        match classes.kind {
            ClassKind::Exclusive => {
                Truth::Index(predicted_index(&self.logits, classes.len(), self.side(), width, height))
            }
            ClassKind::Overlapping => {
                let maps = self.logits.chunks_exact(self.side() * self.side());
                Truth::Labels { masks: maps.map(|map| self.mask(map, width, height)).collect(), ignored: None }
            }
        }
    }

    /// The probability of each class at each pixel, at a size, `(width, height)`.
    pub fn probabilities(&self, size: (usize, usize)) -> Probabilities<'_> {
        let kind = self.classes.map_or(ClassKind::Overlapping, |classes| classes.kind);
        Probabilities::of(&self.logits, kind, self.side(), size)
    }

    fn mask(&self, map: &[f32], width: usize, height: usize) -> Grey {
        let mut mask = saved_mask(map, self.side(), width, height, self.options.stretch);
        if let Some(threshold) = self.options.threshold {
            for v in &mut mask.data {
                *v = if f32::from(*v) >= threshold * 255.0 { 255 } else { 0 };
            }
        }
        mask
    }
}
