//! Signals: Ctrl-C, and what job schedulers send.
#![cfg(unix)]

use super::program::{Beside, done, sam2unet, tiny};
use crate::support::run_log::{log, timeless};
use crate::support::scenes::scenes;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After so long a run is killed, and what waits for it fails.
const LONGEST: Duration = Duration::from_secs(300);

/// A program under way.
struct Running {
    process: Arc<Mutex<Beside>>,
    id: u32,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    /// Dropped with the run, which ends the wait of the thread that would kill it.
    _watched: Sender<()>,
}

/// What else is said of a run on generated scenes.
const RUN: [&str; 6] = ["--epochs", "20", "--device", "cpu", "--out", "run"];

impl Running {
    /// A run on generated scenes.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::of(sam2unet(folder, &[&["train"], arguments, &RUN].concat()))
    }

    fn of(command: Command) -> Self {
        Self::with_signals(command, "default-signal")
    }

    /// Starts it with SIGINT, SIGTERM and SIGHUP ignored (`ignore-signal`) or not (`default-signal`), however this test
    /// was started.
    fn with_signals(plain: Command, how: &str) -> Self {
        let mut command = plain;
        if cfg!(target_os = "linux") {
            let mut with = Command::new("env");
            with.arg(format!("--{how}=INT,TERM,HUP")).arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => with.env(name, value),
                    None => with.env_remove(name),
                };
            }
            with.current_dir(command.get_current_dir().unwrap());
            command = with;
        }
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

    /// Sends it a signal: `INT`, as Ctrl-C does.
    fn signal(&self, name: &str) {
        signal(self.id, name);
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

fn signal(id: u32, name: &str) {
    let (id, command) = (id.to_string(), format!("kill -{name} \"$0\""));
    assert!(Command::new("sh").args(["-c", &command, &id]).status().unwrap().success());
}

/// The step after which a run says that it stopped.
fn stopped_after(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.starts_with("stopped after step "))?;
    assert!(line.ends_with("train --resume run"), "{line}");
    Some(line.split([' ', ';']).nth(3).unwrap().parse().unwrap())
}

/// And the command that began the run goes on with it.
#[test]
fn each_signal_saves_and_ends_with_its_status() {
    for (name, number) in [("HUP", 129), ("USR1", 138), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Running::start(folder.path(), &["--size", "64", "--batch-size", "2"]);
        run.said("step 1/");
        run.signal(name);
        let (status, said) = run.end();
        assert_eq!(status, Some(number), "{name}: {said}");
        let step = stopped_after(&said).unwrap_or_else(|| panic!("{name}: {said}"));
        let mut command = vec!["train", "--size", "64", "--batch-size", "2"];
        command.extend(RUN);
        command.extend(["--resume", "run"]);
        let mut run = Running::of(sam2unet(folder.path(), &command));
        run.said(&format!("after step {step}"));
        run.signal("TERM");
        assert_eq!(run.end().0, Some(143), "{name}");
    }
}

/// What a scheduler starts again and again: it begins, goes on, and is finished.
#[test]
fn one_command_begins_a_run_and_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scenes(folder, 5, 4, 64);
    // the job's own output may lie there already
    fs::create_dir(folder.join("run")).unwrap();
    fs::write(folder.join("run/slurm-1.out"), "").unwrap();
    #[rustfmt::skip]
    let run = [
        "train", "--images", "images", "--masks", "masks", "--variant", "tiny", "--size", "64", "--batch-size", "2",
        "--steps", "16", "--epochs", "20", "--device", "cpu",
    ];
    done(folder, &[&run[..], &["--out", "undisturbed"]].concat());
    let command = [&run[..], &["--resume", "run"]].concat();
    let mut first = Running::of(sam2unet(folder, &command));
    first.said("step 1/16");
    first.signal("USR1");
    let (status, said) = first.end();
    let step = stopped_after(&said);
    assert!(status == Some(138) && step.is_some_and(|step| step < 16), "{said}");
    let said = done(folder, &command);
    assert!(said.contains(&format!("after step {}", step.unwrap())) && said.contains("done: run holds"), "{said}");
    let said = done(folder, &command);
    assert!(said.contains("run is finished: 16 steps"), "{said}");
    for file in ["last/model.safetensors", "last/optimiser.safetensors", "best/model.safetensors"] {
        let [whole, run] = ["undisturbed", "run"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(whole == run, "{file} differs");
    }
    assert_eq!(timeless(&folder.join("run")), timeless(&folder.join("undisturbed")));
}

/// As under `nohup`: the terminal goes away, nobody reads what is said, and the run goes on to its end.
#[test]
fn a_run_that_ignores_hang_ups_goes_on_without_its_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["train", "--size", "64", "--batch-size", "2", "--steps", "12", "--checkpoint-minutes", "0"];
    let plain = sam2unet(folder.path(), &[&arguments[..], &RUN].concat());
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    let (reader, writer) = std::io::pipe().unwrap();
    command.current_dir(folder.path()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut run = Beside(command.spawn().unwrap());
    drop(command);
    // the first line, and then nobody reads any more
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.any(|line| line.unwrap().contains("step 1/")));
    drop(lines);
    signal(run.0.id(), "HUP");
    let begun = Instant::now();
    let status = loop {
        assert!(begun.elapsed() < LONGEST, "it does not end");
        if let Some(status) = run.0.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(saved(&folder.path().join("run")), Some(12));
}

/// A checkpoint appears in the middle of an epoch, and the end is that of a run that was left alone.
#[test]
fn usr2_saves_and_the_run_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("set.toml"), "[generated]\nimages = 100\nval_images = 2\n").unwrap();
    #[rustfmt::skip]
    let arguments = ["train", "--config", "set.toml", "--size", "64", "--batch-size", "1", "--steps", "40",
        "--epochs", "1", "--checkpoint-minutes", "1000", "--device", "cpu", "--out"];
    done(folder.path(), &[&arguments[..], &["whole"]].concat());
    let mut run = Running::of(sam2unet(folder.path(), &[&arguments[..], &["asked"]].concat()));
    run.said("step 1/");
    run.signal("USR2");
    // and it is answered
    let line = run.out.by_ref().map(|line| line.unwrap()).find(|line| line.starts_with("saved at step ")).unwrap();
    let (whole, asked) = (folder.path().join("whole"), folder.path().join("asked"));
    let begun = Instant::now();
    while saved(&asked).is_none() {
        assert!(begun.elapsed() < LONGEST, "nothing was saved");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(saved(&asked).is_some_and(|step| step < 40), "only the end was saved");
    assert_eq!(Some(line), saved(&asked).map(|step| format!("saved at step {step}")));
    let (status, said) = run.end();
    assert_eq!(status, Some(0));
    // the save at the end was not asked for
    assert!(!said.contains("saved at step"), "{said}");
    for file in ["last/model.safetensors", "last/optimiser.safetensors", "last/state.json", "best/model.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(asked.join(file)).unwrap(), "{file} differs");
    }
    assert_eq!(timeless(&whole), timeless(&asked));
}

/// The steps of the newest checkpoint, if there is one.
fn saved(run: &Path) -> Option<u64> {
    let text = fs::read(run.join("last/state.json")).ok()?;
    serde_json::from_slice::<Value>(&text).ok()?["step"].as_u64()
}

/// Other programs end with the same statuses, at once.
#[cfg(target_os = "linux")]
#[test]
fn each_signal_ends_the_other_programs_with_its_status() {
    let folder = tempfile::tempdir().unwrap();
    for (name, number) in [("INT", 130), ("HUP", 129), ("USR1", 138), ("TERM", 143)] {
        let arguments = ["bench", "infer", "tiny", "1", "--size", "64", "--repeat", "1000000", "--threads", "1"];
        let run = Running::of(sam2unet(folder.path(), &arguments));
        run.catches_interrupts();
        run.signal(name);
        let (status, said) = run.end();
        assert_eq!(status, Some(number), "{name}: {said}");
        assert!(said.contains("stopped; files that were finished are whole"), "{said}");
    }
}

/// What was being written is removed, and what was written is whole.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_program_leaves_no_unfinished_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    tiny(&folder.join("model.safetensors"));
    let entries = || fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut stopped = false;
    for _ in 0..20 {
        let run = Running::of(sam2unet(folder, &["convert", "model.safetensors", "out.safetensors"]));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20)
            && !entries().any(|name| name.ends_with(".partial") || name == "out.safetensors")
        {
            std::thread::yield_now();
        }
        run.signal("TERM");
        let (status, said) = run.end();
        let names: Vec<_> = entries().collect();
        assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
        match status {
            Some(143) => stopped = true,
            // it was done before
            _ => assert_eq!(status, Some(0), "{said}"),
        }
        if names.iter().any(|name| name == "out.safetensors") {
            fs::remove_file(folder.join("out.safetensors")).unwrap();
        }
    }
    assert!(stopped, "no signal came while the file was written");

    scenes(folder, 5, 30, 64);
    #[rustfmt::skip]
    let run = Running::of(sam2unet(folder, &["predict", "--checkpoint", "model.safetensors", "--images", "images",
        "--out", "predicted", "--size", "224", "--device", "cpu"]));
    let begun = Instant::now();
    while begun.elapsed() < LONGEST && fs::read_dir(folder.join("predicted")).map_or(0, Iterator::count) < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    run.signal("USR1");
    assert_eq!(run.end().0, Some(138));
    let masks: Vec<_> = fs::read_dir(folder.join("predicted")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!masks.is_empty() && masks.len() < 30, "{masks:?}");
    for mask in &masks {
        sam2unet::data::read_grey(mask).unwrap();
    }
}

#[test]
fn the_first_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Running::start(folder.path(), &["--size", "64", "--batch-size", "2"]);
    run.said("step 1/");
    run.signal("INT");
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
    // a step of many seconds on two cores: the second one would be saved at its end
    let mut run = Running::start(folder.path(), &["--size", "352", "--batch-size", "4", "--accumulate", "8"]);
    run.said("step 1/");
    // it is told of before the run looks whether it is to stop
    std::thread::sleep(Duration::from_millis(300));
    run.signal("INT");
    run.is_stopping();
    // one that comes within a second may be the first one once more
    std::thread::sleep(Duration::from_millis(1200));
    let start = Instant::now();
    run.signal("TERM");
    let (status, said) = run.end();
    assert_eq!(status, Some(143), "{said}");
    // not after the epoch, however slow the machine
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(stopped_after(&said), None, "{said}");
    assert!(!folder.path().join("run/last").exists());
}

/// A terminal that is closed sends SIGHUP twice, and `timeout` and other wrappers forward what was sent to all: the run
/// is saved all the same.
#[test]
fn one_event_that_is_told_twice_saves() {
    for (name, number) in [("HUP", 129), ("INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Running::start(folder.path(), &["--size", "128", "--batch-size", "4"]);
        run.said("step 1/");
        run.signal(name);
        run.is_stopping();
        run.signal(name);
        let (status, said) = run.end();
        assert_eq!(status, Some(number), "{name}: {said}");
        let step = stopped_after(&said).unwrap_or_else(|| panic!("{name}: {said}"));
        assert_eq!(saved(&folder.path().join("run")), Some(step), "{name}");
    }
}

/// As in the background of a script that another one's Ctrl-C ends.
#[cfg(target_os = "linux")]
#[test]
fn signals_that_were_ignored_stay_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["train", "--size", "64", "--batch-size", "2", "--steps", "6"];
    let mut run = Running::with_signals(sam2unet(folder.path(), &[&arguments[..], &RUN].concat()), "ignore-signal");
    run.said("step 1/");
    for name in ["INT", "TERM", "HUP"] {
        run.signal(name);
    }
    let (status, said) = run.end();
    assert_eq!((status, saved(&folder.path().join("run"))), (Some(0), Some(6)), "{said}");
}

/// Nothing is made that would be lost, and nothing is left.
#[cfg(target_os = "linux")]
#[test]
fn one_before_the_first_step_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // its random weights take a second
    let run = Running::start(folder.path(), &["--variant", "large", "--size", "64", "--batch-size", "2"]);
    run.catches_interrupts();
    run.signal("INT");
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

#[cfg(target_os = "linux")]
impl Running {
    /// Waits until the program has handlers for all these signals: before, it is the system that ends it.
    fn catches_interrupts(&self) {
        let begun = Instant::now();
        while !catches(self.id, &[libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGHUP]) {
            assert!(begun.elapsed() < LONGEST, "signals are not caught");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a process has handlers for these signals, as the system says.
#[cfg(target_os = "linux")]
fn catches(id: u32, signals: &[i32]) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    signals.iter().all(|signal| caught & 1 << (signal - 1) != 0)
}
