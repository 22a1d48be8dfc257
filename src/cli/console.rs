//! What the programs print: lines and results on standard output, progress on standard error.

use super::failure::{Failure, Status};
use super::flag_names::with_flags;
use crate::data::classes::class::ClassKind;
use crate::data::unused::Unused;
use crate::data::warning::Warning;
use crate::metrics::task::{Task, columns};
use crate::train::events::{Event, Observer};
use crate::train::overview::Overview;
use crate::train::validation::{Selection, ValidationScores};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether another process speaks for this one: of several that one launcher started, rank 0.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// From now on nothing is printed, or everything is again, but for [`last_words`].
pub(crate) fn silence(is_silent: bool) {
    IS_SILENT.store(is_silent, Ordering::Relaxed);
}

fn is_silent() -> bool {
    IS_SILENT.load(Ordering::Relaxed)
}

/// Whether warnings are printed all the same.
static WARNS: AtomicBool = AtomicBool::new(false);

/// From now on a process that another one speaks for prints its warnings itself: they are of its own work.
pub(crate) fn let_warnings_through() {
    WARNS.store(true, Ordering::Relaxed);
}

/// Prints a line beside the work, which does not end because nobody reads any more or the disk of its output is full.
pub(crate) fn say(line: impl Display) {
    if !is_silent() {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

/// Prints a line for people beside the work, on standard error; it does not end because nobody reads any more.
pub(crate) fn warn(line: impl Display) {
    if !is_silent() || WARNS.load(Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Prints why this process ends all others, or ends beside them, even if it is silent. In one piece: the end of another
/// process could cut a line that is written in several.
pub(crate) fn last_words(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Tells, on standard error, what may be wrong with files. `of` says whose files they are, with a colon; or nothing.
pub(crate) fn tell(warning: &Warning, of: &str) {
    let word = if warning.is_suspicious() { "warning" } else { "note" };
    let between = if of.is_empty() { "" } else { " " };
    warn(with_flags(format_args!("{word}: {of}{between}{warning}")));
}

/// Tells what lies in a folder and is not used, if it may have been meant to be. `of` says whose files they are.
pub(crate) fn tell_unused(unused: &Unused, of: impl Display) {
    let unused = unused.suspicious();
    if !unused.is_empty() {
        warn(with_flags(format_args!("warning: {of}: not used: {unused}")));
    }
}

/// Prints what a subcommand was run for. Whoever closed the pipe has read enough; other errors are failures.
pub(crate) fn print(result: impl AsRef<[u8]>) -> Result<Status, Failure> {
    if is_silent() {
        return Ok(Status::Done);
    }
    let mut out = io::stdout();
    match out.write_all(result.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::later(format_args!("cannot write to standard output: {error}")))
        }
        _ => Ok(Status::Done),
    }
}

/// A progress bar on standard error, with room for a message; hidden where that is no terminal, and where
/// another process speaks for this one.
pub(crate) fn bar(length: u64) -> ProgressBar {
    if is_silent() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

/// How often a line is printed where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a training run: a bar on a terminal, otherwise a line now and then.
pub(crate) struct Console {
    task: Option<Task>,
    bar: ProgressBar,
    steps: u64,
    loss: Option<f64>,
    images_per_second: Option<f64>,
    last_line: Instant,
}

impl Console {
    /// For a run that is not ready yet.
    pub fn new() -> Self {
        let bar = ProgressBar::hidden();
        Self { task: None, bar, steps: 0, loss: None, images_per_second: None, last_line: Instant::now() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Above the bar, or just out.
    fn line(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// Images are read before the run starts.
    pub fn checking(&mut self, done: usize, of: usize) {
        if done == 1 {
            self.bar.finish_and_clear();
            self.bar = bar(of as u64).with_message("reading images and masks");
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(done as u64);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            say(format_args!("reading images and masks: {done} of {of}"));
        }
        if done == of {
            self.bar.finish_and_clear();
        }
    }

    fn ready(&mut self, overview: &Overview) {
        say(with_flags(overview));
        self.task = overview.settings.task;
        self.steps = overview.plan.steps;
        self.bar = bar(self.steps);
        self.bar.set_position(overview.resumed.unwrap_or(0));
        self.bar.reset_eta();
    }

    fn step(&mut self, step: u64, epoch: u64, loss: f64, rate: f64, speed: f64) {
        let mean = |old: &mut Option<f64>, new: f64| *old.insert(old.map_or(new, |old| 0.9 * old + 0.1 * new));
        let (loss, speed) = (mean(&mut self.loss, loss), mean(&mut self.images_per_second, speed));
        let text = format!("epoch {epoch}  loss {loss:.4}  lr {rate:.2e}  {speed:.1} images/s");
        if !self.bar.is_hidden() {
            self.bar.set_message(text);
            self.bar.set_position(step);
        } else if self.last_line.elapsed() >= LINE_EVERY || step == 1 {
            self.last_line = Instant::now();
            say(format_args!("step {step}/{}  {text}", self.steps));
        }
    }

    fn epoch(&self, epoch: u64, loss: f64, validation: Option<&ValidationScores>, selection: Selection, best: bool) {
        let mut text = format!("epoch {epoch}  mean loss {loss:.4}");
        if let Some(scores) = validation {
            text += &format!("  {} {:.4}", selection.name(), selection.score(scores));
        }
        match validation {
            None => {}
            Some(ValidationScores::OneClass(summary)) => {
                for column in columns(self.task).iter().filter(|column| column.key != selection.name()) {
                    text += &format!("  {} {:.4}", column.heading, column.of(summary));
                }
            }
            Some(ValidationScores::Classes(summary)) => {
                for key in told_keys(summary.kind()).iter().filter(|key| **key != selection.name()) {
                    text += &format!("  {key} {:.4}", summary.get(key).unwrap_or(f64::NAN));
                }
            }
        }
        self.line(&(text + if best { "  (best)" } else { "" }));
    }
}

/// What a line tells of several classes: the mean IoU and Dice, without the background where there is one.
fn told_keys(kind: ClassKind) -> [&'static str; 2] {
    match kind {
        ClassKind::Exclusive => ["foreground_mIoU", "foreground_mDice"],
        ClassKind::Overlapping => ["mIoU", "mDice"],
    }
}

impl Observer for Console {
    fn event(&mut self, event: &Event) {
        match *event {
            Event::Note(note) if note.is_warning() => warn(with_flags(format_args!("warning: {note}"))),
            Event::Note(note) => say(with_flags(format_args!("{:<10} {note}", note.topic()))),
            Event::Checking { done, of } => self.checking(done, of),
            Event::Ready(overview) => self.ready(overview),
            Event::Step { step, epoch, loss, rate, seconds, images } => {
                self.step(step, epoch, loss, rate, images as f64 / seconds);
            }
            Event::Validating { done, of } => self.bar.set_message(format!("validating {done}/{of}")),
            Event::Epoch { epoch, loss, validation, selection, best } => {
                self.epoch(epoch, loss, validation, selection, best);
            }
            Event::Saved { step, asked: true } => self.line(&format!("saved at step {step}")),
            Event::Saved { .. } | Event::Creating => {}
            Event::Reporting => self.bar.set_message("drawing curves and samples"),
        }
    }
}
