//! Ctrl-C: the first asks for an end in good order, the second ends the program.

use super::failure::{Failure, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that the first Ctrl-C (or SIGTERM, or SIGHUP) sets; the second ends the program at once, with
/// [`Status::Interrupted`]. For a program that does its work once: there can be one such flag.
pub(crate) fn stop_at_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(Status::Interrupted as i32);
        }
        eprintln!("\nstopping after this step; Ctrl-C again quits at once, without saving");
    })
    .map_err(|e| Failure::later(format_args!("cannot set up the Ctrl-C handler: {e}")))?;
    Ok(stop)
}
