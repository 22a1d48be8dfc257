//! How masks are made of logits.

use super::error::PredictError;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::read::facts::ReadOptions;

/// How masks are made of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictOptions {
    /// Side of the network's input.
    pub size: usize,
    /// The published script's min-max normalisation of each map.
    pub stretch: bool,
    /// Black and white masks: white where the 8-bit map is at least this share of 255, in `0..=1`.
    pub threshold: Option<f32>,
    /// How image files are read, and the masks whose sizes are wanted.
    pub read: ReadOptions,
}

impl Default for PredictOptions {
    /// The paper's: side 352, the plain map; files as Pillow reads them.
    fn default() -> Self {
        Self { size: 352, stretch: false, threshold: None, read: ReadOptions::default() }
    }
}

impl PredictOptions {
    /// Whether they go with a model of these classes; `None`: of one without a name.
    ///
    /// # Errors
    /// When classes exclude each other and `stretch` or `threshold` is set: these are for soft masks.
    pub fn check(&self, classes: Option<&Classes>) -> Result<(), PredictError> {
        let exclusive = classes.is_some_and(|classes| classes.kind == ClassKind::Exclusive);
        match (self.stretch, self.threshold) {
            (true, _) if exclusive => Err(PredictError::NoSoftMask("stretch")),
            (_, Some(_)) if exclusive => Err(PredictError::NoSoftMask("threshold")),
            _ => Ok(()),
        }
    }
}
