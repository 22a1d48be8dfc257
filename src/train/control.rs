//! What others ask of a run that goes on.

use std::sync::atomic::{AtomicBool, Ordering};

/// Flags by which another thread, or a handler of signals, asks something of a run. It looks at them between two steps
/// and between two images of a validation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control<'a> {
    /// Save and stop: set by whoever asks, and left so.
    pub stop: Option<&'a AtomicBool>,
    /// Save and go on: set by whoever asks, and taken back by the run.
    pub save: Option<&'a AtomicBool>,
}

impl<'a> From<&'a AtomicBool> for Control<'a> {
    /// Only asked to stop.
    fn from(stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), save: None }
    }
}

impl Control<'_> {
    /// Whether the run is to stop.
    pub(super) fn stops(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Whether the run is to save, which is answered once.
    pub(super) fn saves(&self) -> bool {
        self.save.is_some_and(|save| save.swap(false, Ordering::Relaxed))
    }
}
