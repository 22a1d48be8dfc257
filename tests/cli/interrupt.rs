//! Ctrl-C during `train`.
#![cfg(unix)]

use super::program::{Beside, done, sam2unet};
use crate::support::run_log::log;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After so long a run is killed, and what waits for it fails.
const LONGEST: Duration = Duration::from_secs(300);

/// A run on generated scenes.
struct Running {
    process: Arc<Mutex<Beside>>,
    id: u32,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    /// Dropped with the run, which ends the wait of the thread that would kill it.
    _watched: Sender<()>,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let more = ["--epochs", "20", "--device", "cpu", "--out", "run"];
        let mut command = sam2unet(folder, &[&["train"], arguments, &more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        let (id, process) = (child.id(), Arc::new(Mutex::new(Beside(child))));
        let (watched, end) = channel();
        let killed = Arc::downgrade(&process);
        std::thread::spawn(move || {
            if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout)
                && let Some(process) = killed.upgrade()
            {
                let _ = process.lock().unwrap().0.kill();
            }
        });
        Self { process, id, out, err, _watched: watched }
    }

    /// Waits for a line on standard output.
    fn said(&mut self, part: &str) {
        assert!(self.out.any(|line| line.unwrap().contains(part)), "`{part}` was not said");
    }

    /// As Ctrl-C does.
    fn interrupt(&self) {
        let id = self.id.to_string();
        assert!(Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]).status().unwrap().success());
    }

    /// Waits for the answer to the first Ctrl-C.
    fn is_stopping(&mut self) {
        assert!(self.err.any(|line| line.unwrap().contains("stopping after this step")));
    }

    /// The exit status, and what else was said.
    fn end(mut self) -> (Option<i32>, String) {
        // both ends of file come when it ends
        let lines = self.out.by_ref().chain(self.err.by_ref());
        let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
        (self.process.lock().unwrap().0.wait().unwrap().code(), said.join("\n"))
    }
}

/// The step after which a run says that it stopped.
fn stopped_after(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.starts_with("stopped after step "))?;
    assert!(line.ends_with("train --resume run"), "{line}");
    Some(line.split([' ', ';']).nth(3).unwrap().parse().unwrap())
}

#[test]
fn the_first_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Running::start(folder.path(), &["--size", "64", "--batch-size", "2"]);
    run.said("step 1/");
    run.interrupt();
    run.is_stopping();
    let (status, said) = run.end();
    assert_eq!(status, Some(130), "{said}");
    let step = stopped_after(&said).unwrap_or_else(|| panic!("{said}"));
    for file in ["model.safetensors", "optimiser.safetensors"] {
        assert!(folder.path().join("run/last").join(file).is_file(), "{file}");
    }
    // and it does go on there
    let next = step + 1;
    let said = done(folder.path(), &["train", "--resume", "run", "--steps", &next.to_string()]);
    assert!(said.contains(&format!("after step {step}\n")), "{said}");
    assert!(log(&folder.path().join("run")).iter().any(|record| record["step"] == next), "no step {next}");
}

#[test]
fn the_second_ends_the_program_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // a step of seconds on two cores: the second one has just begun, and would be saved at its end
    let mut run = Running::start(folder.path(), &["--size", "352", "--batch-size", "4", "--accumulate", "3"]);
    run.said("step 1/");
    run.interrupt();
    run.is_stopping();
    let start = Instant::now();
    run.interrupt();
    let (status, said) = run.end();
    assert_eq!(status, Some(130), "{said}");
    // not after the epoch, however slow the machine
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(stopped_after(&said), None, "{said}");
    assert!(!folder.path().join("run/last").exists());
}

/// Nothing is made that would be lost, and nothing is left.
#[cfg(target_os = "linux")]
#[test]
fn one_before_the_first_step_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // its random weights take a second
    let run = Running::start(folder.path(), &["--variant", "large", "--size", "64", "--batch-size", "2"]);
    // before the program catches it, it is the system that ends it
    let begun = Instant::now();
    while !catches_interrupts(run.id) {
        assert!(begun.elapsed() < LONGEST, "SIGINT is not caught");
        std::thread::sleep(Duration::from_millis(1));
    }
    run.interrupt();
    let (status, said) = run.end();
    assert_eq!(status, Some(130), "{said}");
    match stopped_after(&said) {
        None => {
            assert!(said.contains("stopped before the first step; nothing was written"), "{said}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left");
        }
        // this test was kept from running for longer than the preparation took
        Some(step) => assert!(step > 0 && folder.path().join("run/last").is_dir(), "{said}"),
    }
}

/// Whether a process has a handler for SIGINT, as the system says.
#[cfg(target_os = "linux")]
fn catches_interrupts(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (libc::SIGINT - 1) != 0
}
