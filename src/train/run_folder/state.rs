//! The position in a run.

use serde::{Deserialize, Serialize};

/// The score by which `best` is chosen: mean over images of the IoU of the map above a half.
pub const SELECTION_KEY: &str = "sample_biiou";

/// The number of the form in which this version writes a position, and the largest that it reads.
///
/// 1: without a number, and without the names of the validation images. 2: with both.
pub const STATE_FORMAT: u64 = 2;

/// More epochs than any run has. A position beyond is no position, and would keep the schedule busy for hours.
const MOST_EPOCHS: u64 = 1_000_000_000;
/// More of anything else than any run has: the largest whole number that every reader of JSON keeps as it is.
const MOST: u64 = 1 << 53;

/// The position in a run: everything a resume needs that is neither weight nor moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The form that it was written in; see [`STATE_FORMAT`].
    #[serde(default = "unnumbered")]
    pub format: u64,
    /// Training images.
    pub images: usize,
    /// Digest of their names.
    pub names: String,
    /// Digest of the validation images' names; `None` without validation, and in format 1.
    #[serde(default)]
    pub val_names: Option<String>,
    /// Optimiser steps made in all.
    pub step: u64,
    /// Epochs closed: trained and, where there is a validation set, validated.
    pub epoch: u64,
    /// Steps made in the epoch that is under way.
    pub step_in_epoch: u64,
    /// Sum of their losses.
    pub epoch_loss: f64,
    /// The best model so far, of those at the end of an epoch.
    pub best: Option<Best>,
    /// Lines of the log up to here.
    pub log_lines: u64,
    /// Whether the run came to its end here, curves and pictures written.
    pub finished: bool,
}

/// The format of positions that have no number.
fn unnumbered() -> u64 {
    1
}

/// Why a text is no position that can be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoState {
    /// A later version wrote it.
    Newer {
        /// The number of its format.
        format: u64,
    },
    /// It is damaged, or was changed.
    Damaged(String),
}

impl State {
    /// Before the first step of a run on `images` training images.
    pub fn new(images: usize, names: String, val_names: Option<String>) -> Self {
        let (step, epoch, step_in_epoch, log_lines) = (0, 0, 0, 0);
        let (format, epoch_loss, best, finished) = (STATE_FORMAT, 0.0, None, false);
        Self { format, images, names, val_names, step, epoch, step_in_epoch, epoch_loss, best, log_lines, finished }
    }

    /// The text of `state.json`.
    pub(super) fn to_text(&self) -> String {
        // a struct of numbers always has a JSON form
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The position in a text, every number of which is one that a run can have.
    pub(super) fn of_text(text: &[u8]) -> Result<Self, NoState> {
        // first the number alone: what else is there only that version knows
        #[derive(Deserialize)]
        struct Numbered {
            #[serde(default = "unnumbered")]
            format: u64,
        }
        let damaged = |error: serde_json::Error| NoState::Damaged(error.to_string());
        let Numbered { format } = serde_json::from_slice(text).map_err(damaged)?;
        if format > STATE_FORMAT {
            return Err(NoState::Newer { format });
        }
        let state: Self = serde_json::from_slice(text).map_err(damaged)?;
        match state.absurd() {
            None => Ok(state),
            Some(reason) => Err(NoState::Damaged(reason)),
        }
    }

    /// What no run can have.
    fn absurd(&self) -> Option<String> {
        let counts = [
            ("images", self.images as u64, 1, MOST),
            ("step", self.step, 0, MOST),
            ("epoch", self.epoch, 0, MOST_EPOCHS),
            ("step_in_epoch", self.step_in_epoch, 0, self.step),
            ("log_lines", self.log_lines, 0, MOST),
            ("step of best", self.best.map_or(0, |best| best.step), 0, self.step),
        ];
        let out = counts.into_iter().find(|(_, count, least, most)| !(least..=most).contains(&count));
        out.map(|(name, count, least, most)| format!("{name} is {count}, where {least} to {most} are possible"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let best = Some(Best { epoch: 1, step: 3, score: 0.5 });
        State { step: 5, epoch: 1, step_in_epoch: 2, log_lines: 6, best, ..State::new(7, "n".into(), Some("v".into())) }
    }

    #[test]
    fn a_position_is_read_as_it_was_written_and_an_older_one_too() {
        assert_eq!(State::of_text(state().to_text().as_bytes()).unwrap(), state());
        let older = br#"{"images":7,"names":"n","step":5,"epoch":1,"step_in_epoch":2,"epoch_loss":0.0,
            "best":{"epoch":1,"step":3,"score":0.5},"log_lines":6,"finished":false}"#;
        assert_eq!(State::of_text(older).unwrap(), State { format: 1, val_names: None, ..state() });
    }

    #[test]
    fn a_newer_position_is_told_by_its_number_whatever_else_it_holds() {
        assert_eq!(State::of_text(br#"{"format":3,"steps":{"a":1}}"#), Err(NoState::Newer { format: 3 }));
        let unknown = state().to_text().replace("\"images\"", "\"more\": 1, \"images\"");
        assert!(matches!(State::of_text(unknown.as_bytes()), Err(NoState::Damaged(_))));
    }

    #[test]
    fn numbers_that_no_run_has_are_refused() {
        let cases = [
            State { images: 0, ..state() },
            State { images: 1 << 63, ..state() },
            State { step: u64::MAX, ..state() },
            State { epoch: u64::MAX, ..state() },
            State { step_in_epoch: 6, ..state() },
            State { log_lines: u64::MAX, ..state() },
            State { step: 2, ..state() },
        ];
        for case in cases {
            assert!(matches!(State::of_text(case.to_text().as_bytes()), Err(NoState::Damaged(_))), "{case:?}");
        }
        for text in ["", "[]", "7", "{}", "{\"format\":-1}", "{\"format\":\"2\"}", &"[".repeat(1000)] {
            assert!(matches!(State::of_text(text.as_bytes()), Err(NoState::Damaged(_))), "{text}");
        }
    }
}
