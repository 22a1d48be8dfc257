//! Signals: what a program does when it is asked to end, or to save.
//!
//! SIGINT (Ctrl-C), SIGTERM, SIGUSR1 (what SLURM and MPI send ahead of a job's end) and SIGHUP (the terminal is gone)
//! ask a program to end. After the first of them work that has begun comes to an end in good order; a second one ends
//! the program at once, unless it may be the first one once more: one event often comes twice, as when a terminal is
//! closed, or a wrapper forwards Ctrl-C. So SIGHUP is never the second, nor is what comes within a second of the first.
//! The exit status tells which it was ([`Status`]). SIGHUP, SIGINT and SIGTERM stay ignored where they were when the
//! program started, as `nohup` and the `&` of scripts have it. SIGUSR2 asks `train` to save and go on.

use super::failure::{Failure, Status};
use crate::group::processes::{Group, GroupError};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What signals have asked for. There can be one in a program.
#[derive(Clone)]
pub(crate) struct Interrupt {
    stop: Arc<AtomicBool>,
    save: Arc<AtomicBool>,
    /// Whether the next signal ends the program.
    at_once: Arc<AtomicBool>,
    /// The exit status of the first signal.
    status: Arc<AtomicUsize>,
    /// What is said when the program ends before any work has begun.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no thread that could say it"))]
    before: Arc<Mutex<&'static str>>,
    /// What is said when work that has begun is to come to its end.
    stopping: Arc<OnceLock<&'static str>>,
    /// Whether the work has come to its end.
    ended: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on a signal ends the program at once and says `before`; files that are not finished are removed.
    ///
    /// # Errors
    /// When the system does not let the program catch signals.
    pub fn watch(before: &'static str) -> Result<Self, Failure> {
        let interrupt = Self {
            stop: Arc::default(),
            save: Arc::default(),
            at_once: Arc::new(AtomicBool::new(true)),
            status: Arc::default(),
            before: Arc::new(Mutex::new(before)),
            stopping: Arc::default(),
            ended: Arc::default(),
        };
        caught(system::watch(&interrupt))?;
        Ok(interrupt)
    }

    /// From now on SIGUSR2 sets [`save`](Self::save).
    ///
    /// # Errors
    /// When the system does not let the program catch it.
    pub fn watch_for_saves(&self) -> Result<(), Failure> {
        caught(system::watch_for_saves(self))
    }

    /// From now on a signal that ends the program before work has begun says `before`.
    pub fn say_before(&self, before: &'static str) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = before;
    }

    /// From now on the first signal sets [`stop`](Self::stop) and says `stopping`; the second ends the program.
    pub fn begin(&self, stopping: &'static str) {
        // set before: a program begins one kind of work
        let _ = self.stopping.set(stopping);
        self.at_once.store(false, Ordering::Relaxed);
    }

    /// The work has ended, well or not: the first signal from now on changes nothing and says nothing, as the program is about to end.
    /// (A launcher of several processes sends one to the others when the first of them has failed.)
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.at_once.store(false, Ordering::Relaxed);
    }

    /// Whether the work is to come to its end.
    pub fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the work is to be saved; whoever saves takes it back.
    pub fn save(&self) -> &AtomicBool {
        &self.save
    }

    /// How a program ends that was stopped.
    pub fn status(&self) -> Status {
        of_signal(self.status.load(Ordering::Relaxed))
    }

    /// The same for all processes of a run, which ended together: the signal counts that the lowest rank was sent.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn status_of_all(&self, group: &dyn Group) -> Result<Status, GroupError> {
        let own = self.status.load(Ordering::Relaxed) as u8;
        let mut all = vec![0; group.size()];
        group.gather(&[own], &mut all, &vec![1; group.size()])?;
        Ok(of_signal(all.into_iter().find(|status| *status != 0).unwrap_or_default().into()))
    }
}

/// The exit status after the first signal; a program that none was sent was stopped by whoever embeds it.
fn of_signal(first: usize) -> Status {
    let all = [Status::HungUp, Status::Interrupted, Status::EndIsNear, Status::Terminated];
    all.into_iter().find(|status| *status as usize == first).unwrap_or(Status::Interrupted)
}

fn caught(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| Failure::later(format_args!("cannot catch signals: {error}")))
}

#[cfg(unix)]
mod system {
    use super::{Interrupt, Status};
    use crate::cli::console::warn;
    use crate::files::unfinished::remove_unfinished;
    use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::flag::register;
    use signal_hook::iterator::Signals;
    use std::io;
    use std::process::exit;
    use std::sync::PoisonError;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::channel;
    use std::thread::Builder;
    use std::time::{Duration, Instant};

    /// A signal that comes so soon after the first one tells of the same event.
    const SAME_EVENT: Duration = Duration::from_secs(1);

    /// A thread waits for signals.
    pub(super) fn watch(interrupt: &Interrupt) -> io::Result<()> {
        let mut signals = Signals::new([SIGUSR1])?;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if is_taken(signal, ignored(&status)) {
                signals.add_signal(signal)?;
            }
        }
        let interrupt = interrupt.clone();
        let wait = move || {
            let mut asked = None;
            for signal in signals.forever() {
                let status = match signal {
                    SIGHUP => Status::HungUp,
                    SIGUSR1 => Status::EndIsNear,
                    SIGTERM => Status::Terminated,
                    _ => Status::Interrupted,
                };
                end(&interrupt, status, &mut asked);
            }
        };
        Builder::new().name("signals".to_string()).spawn(wait).map(drop)
    }

    /// What is done when a signal asks for an end with this status. `asked` is when work that has begun was first asked
    /// to end.
    fn end(interrupt: &Interrupt, status: Status, asked: &mut Option<Instant>) {
        if asked.is_some_and(|first| is_repeated(status, first.elapsed())) {
            return;
        }
        if interrupt.at_once.swap(true, Ordering::Relaxed) {
            if !interrupt.stop.load(Ordering::Relaxed) && !interrupt.ended.load(Ordering::Relaxed) {
                let before = *interrupt.before.lock().unwrap_or_else(PoisonError::into_inner);
                tell(before);
            }
            // no file is begun any more while it is held
            let _held = remove_unfinished();
            exit(status as i32);
        }
        *asked = Some(Instant::now());
        interrupt.status.store(status as usize, Ordering::Relaxed);
        interrupt.stop.store(true, Ordering::Relaxed);
        if !interrupt.ended.load(Ordering::Relaxed) {
            tell(interrupt.stopping.get().copied().unwrap_or_default());
        }
    }

    /// Whether a signal that came so long after the first one may tell of the same event.
    fn is_repeated(status: Status, after: Duration) -> bool {
        status == Status::HungUp || after < SAME_EVENT
    }

    /// Prints a line, but does not wait for long: nobody may read what standard error holds, and the next signal must
    /// be heard.
    fn tell(line: &'static str) {
        let (told, is_told) = channel();
        let print = move || {
            warn(format_args!("\n{line}"));
            let _ = told.send(());
        };
        if Builder::new().spawn(print).is_ok() {
            let _ = is_told.recv_timeout(Duration::from_millis(200));
        }
    }

    pub(super) fn watch_for_saves(interrupt: &Interrupt) -> io::Result<()> {
        register(SIGUSR2, interrupt.save.clone()).map(drop)
    }

    /// Whether a signal is caught: not where it was ignored when the program started. Where the system does not say
    /// which were (elsewhere than on Linux), SIGHUP is left as it is.
    fn is_taken(signal: i32, ignored: Option<u64>) -> bool {
        ignored.map_or(signal != SIGHUP, |ignored| ignored & 1 << (signal - 1) == 0)
    }

    /// The set of ignored signals, one bit each, of a `/proc/PID/status`.
    fn ignored(status: &str) -> Option<u64> {
        let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(set.trim(), 16).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_signal_that_comes_twice_at_once_is_no_second_one() {
            let after = Duration::from_millis;
            assert!(is_repeated(Status::HungUp, after(3)) && is_repeated(Status::HungUp, after(60_000)));
            for status in [Status::Interrupted, Status::Terminated, Status::EndIsNear] {
                assert!(is_repeated(status, after(3)) && !is_repeated(status, after(1100)), "{status:?}");
            }
        }

        #[test]
        fn what_was_ignored_stays_ignored() {
            // SIGHUP is 1, SIGINT 2
            for (set, taken) in [(Some(0), [true; 3]), (Some(1), [false, true, true]), (Some(2), [true, false, true])] {
                assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| is_taken(signal, set)), taken);
            }
            assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| is_taken(signal, None)), [false, true, true]);
        }

        #[test]
        fn ignored_signals_are_read() {
            // under nohup, and with SIGPIPE ignored, as Rust has it
            assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), Some(0x1001));
            assert_eq!(ignored("SigIgn:\tnone\n"), None);
            assert_eq!(ignored("Name:\tx\n"), None);
        }
    }
}

/// Ctrl-C and requests to end, as far as the system has them. There is no thread that could say something.
#[cfg(not(unix))]
mod system {
    use super::{Interrupt, Status};
    use signal_hook::consts::signal::{SIGINT, SIGTERM};
    use signal_hook::flag::{register, register_conditional_shutdown, register_usize};
    use std::io;

    pub(super) fn watch(interrupt: &Interrupt) -> io::Result<()> {
        for (signal, status) in [(SIGINT, Status::Interrupted), (SIGTERM, Status::Terminated)] {
            // they are run in this order
            register_conditional_shutdown(signal, status as i32, interrupt.at_once.clone())?;
            register_usize(signal, interrupt.status.clone(), status as usize)?;
            register(signal, interrupt.stop.clone())?;
            register(signal, interrupt.at_once.clone())?;
        }
        Ok(())
    }

    pub(super) fn watch_for_saves(_: &Interrupt) -> io::Result<()> {
        Ok(())
    }
}
