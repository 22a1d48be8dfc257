//! What a run tells while it goes, and how it ends.

use super::note::Note;
use super::overview::Overview;
use super::validation::{Selection, ValidationScores};

/// What happens in a run, as it happens. Epochs and steps count from 1.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something about the run that is not as one might expect, before it starts.
    Note(&'a Note),
    /// The images are being read, once each, before the first step.
    Checking {
        /// Pairs of a set read so far.
        done: usize,
        /// Pairs in all.
        of: usize,
    },
    /// A new run's folder is about to be made: up to here nothing was written.
    Creating,
    /// Before the first step.
    Ready(&'a Overview<'a>),
    /// A step was made. A device that lags behind the host tells its loss a few steps late.
    Step {
        /// Which.
        step: u64,
        /// In which epoch.
        epoch: u64,
        /// Mean loss over its images.
        loss: f64,
        /// Learning rate.
        rate: f64,
        /// Seconds it took; of steps whose losses were asked for together, their mean.
        seconds: f64,
        /// Images it saw.
        images: usize,
    },
    /// Validation is under way.
    Validating {
        /// Images predicted so far.
        done: usize,
        /// Images in all.
        of: usize,
    },
    /// An epoch, or the run within one, came to its end.
    Epoch {
        /// Which.
        epoch: u64,
        /// Mean loss over its steps.
        loss: f64,
        /// Scores on the validation set, if there is one.
        validation: Option<&'a ValidationScores>,
        /// By which of them the best model is chosen.
        selection: Selection,
        /// Whether the model is the best so far.
        best: bool,
    },
    /// A checkpoint was written.
    Saved {
        /// Of which step.
        step: u64,
        /// Whether somebody asked for it ([`Control::save`](super::control::Control::save)).
        asked: bool,
    },
    /// Curves and pictures are being made.
    Reporting,
}

/// Who is told about [`Event`]s: the library itself prints nothing.
pub trait Observer {
    /// Is called with each event.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The run came to its end.
    Finished,
    /// It was stopped and saved; a resume goes on at the next step.
    Stopped {
        /// Steps made.
        step: u64,
    },
    /// It had come to its end before; nothing was done.
    AlreadyFinished {
        /// Steps made.
        step: u64,
    },
}
