//! Ctrl-C: the first asks for an end in good order, the second ends the program.

use super::console::warn;
use super::failure::{Failure, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What Ctrl-C (or SIGTERM, or SIGHUP) does. For a program that does its work once: there can be one.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    /// Whether there is work that is saved before the program ends.
    begun: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C ends the program at once, with [`Status::Interrupted`].
    pub fn watch() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { begun, stop } = interrupt.clone();
        ctrlc::set_handler(move || {
            if !begun.load(Ordering::Relaxed) {
                warn("\nstopped before the first step; nothing was written");
                std::process::exit(Status::Interrupted as i32);
            }
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(Status::Interrupted as i32);
            }
            warn("\nstopping after this step; Ctrl-C again quits at once, without saving");
        })
        .map_err(|e| Failure::later(format_args!("cannot set up the Ctrl-C handler: {e}")))?;
        Ok(interrupt)
    }

    /// From now on the first one sets the flag, and the second ends the program.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// The flag.
    pub fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}
