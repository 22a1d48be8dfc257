//! Ctrl-C during `train`.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A run that would take long, whose steps have begun.
struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// On generated scenes; a step sees `images` of them, of that side.
    fn start(folder: &Path, side: &str, images: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command.args(["--size", side, "--batch-size", images, "--epochs", "1000", "--device", "cpu", "--out", "run"]);
        let mut child = command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// Waits for a line on standard output.
    fn said(&mut self, part: &str) {
        assert!(self.out.any(|line| line.unwrap().contains(part)), "`{part}` was not said");
    }

    /// As Ctrl-C does.
    fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]).status().unwrap().success());
    }

    /// Waits for the answer to the first Ctrl-C.
    fn is_stopping(&mut self) {
        assert!(self.err.any(|line| line.unwrap().contains("stopping after this step")));
    }

    /// The exit status, and what else was said.
    fn end(mut self) -> (Option<i32>, String) {
        let said: Vec<_> = self.out.map(|line| line.unwrap()).collect();
        (self.child.wait().unwrap().code(), said.join("\n"))
    }
}

#[test]
fn the_first_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Running::start(folder.path(), "64", "2");
    run.said("step 1/");
    run.interrupt();
    run.is_stopping();
    let (status, said) = run.end();
    assert_eq!(status, Some(130), "{said}");
    let line = said.lines().find(|line| line.starts_with("stopped after step ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.ends_with("train --resume run"), "{line}");
    let step: u64 = line.split([' ', ';']).nth(3).unwrap().parse().unwrap();
    for file in ["model.safetensors", "optimiser.safetensors"] {
        assert!(folder.path().join("run/last").join(file).is_file(), "{file}");
    }
    // and it does go on there
    let next = (step + 1).to_string();
    let mut resumed = Command::new(env!("CARGO_BIN_EXE_sam2unet"));
    resumed.args(["train", "--resume", "run", "--steps", &next]).current_dir(folder.path());
    let output = resumed.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("after step {step}\n")), "{said}");
    let log = fs::read_to_string(folder.path().join("run/log.jsonl")).unwrap();
    assert!(log.contains(&format!("\"step\":{next},")), "{log}");
}

#[test]
fn the_second_ends_the_program_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // a step of seconds
    let mut run = Running::start(folder.path(), "352", "12");
    run.said("cost ");
    run.interrupt();
    run.is_stopping();
    let start = Instant::now();
    run.interrupt();
    let (status, said) = run.end();
    assert_eq!(status, Some(130), "{said}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(!said.contains("stopped after step"), "{said}");
    assert!(!folder.path().join("run/last").exists());
}
