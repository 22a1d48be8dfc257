//! The position in a run.

use serde::{Deserialize, Serialize};

/// The score by which `best` is chosen: mean over images of the IoU of the map above a half.
pub const SELECTION_KEY: &str = "sample_biiou";

/// The position in a run: everything a resume needs that is neither weight nor moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Training images.
    pub images: usize,
    /// Digest of their names.
    pub names: String,
    /// Optimiser steps made in all.
    pub step: u64,
    /// Epochs closed: trained and, where there is a validation set, validated.
    pub epoch: u64,
    /// Steps made in the epoch that is under way.
    pub step_in_epoch: u64,
    /// Sum of their losses.
    pub epoch_loss: f64,
    /// The best model so far.
    pub best: Option<Best>,
    /// Lines of the log up to here.
    pub log_lines: u64,
    /// Whether the run came to its end here, curves and pictures written.
    pub finished: bool,
}

impl State {
    /// Before the first step of a run on `images` training images.
    pub fn new(images: usize, names: String) -> Self {
        let (step, epoch, step_in_epoch, log_lines) = (0, 0, 0, 0);
        Self { images, names, step, epoch, step_in_epoch, epoch_loss: 0.0, best: None, log_lines, finished: false }
    }

    /// The text of `state.json`.
    pub(super) fn to_text(&self) -> String {
        // a struct of numbers always has a JSON form
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Which model `best` holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The epoch after which it was saved, from 1.
    pub epoch: u64,
    /// Optimiser steps it was trained for.
    pub step: u64,
    /// Its `sample_biiou` on the validation set, or its epoch's mean loss where there is none.
    pub score: f64,
}
