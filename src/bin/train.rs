//! Trains SAM2-UNet: see `train --help`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use sam2unet::metrics::{self, Summary, Task};
use sam2unet::train::settings::{Flag, Group, KEYS, Key, Origin, Problem, preset, resume};
use sam2unet::train::{
    Event, FolderError, Layer, Observer, Outcome, Overview, PrepareError, Resolved, RunError, SELECTION_KEY, Settings,
    SettingsError, TrainError, Trainer, resolve,
};
use toml::{Table, Value};

sam2unet::load_cuda_libraries_late!();

/// What `--help` says after the flags.
const RESULTS: &str = "\
Examples:
  sam2unet train
  sam2unet train --images photos --masks masks --val-images more/photos --val-masks more/masks \\
      --backbone weights/sam2_hiera_large.pt --task polyp
  sam2unet train --resume runs/polyp

An image and its mask have one file stem and one size; masks are grey, white is foreground.

Results: config.toml, run.json, log.jsonl, best/model.safetensors, last/model.safetensors, curves.svg, samples.png.
Ctrl-C saves and stops; --resume goes on exactly where a run was stopped, or killed.";

/// The command, its flags made of the table of settings.
fn command() -> Command {
    let run = |name: &'static str| Arg::new(name).long(name).help_heading("Run");
    let path =
        |name: &'static str, value: &'static str| run(name).value_name(value).value_parser(value_parser!(PathBuf));
    Command::new("train")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Trains SAM2-UNet (arXiv 2408.08870) on a folder of images and masks, or, without --images, on generated scenes: \
             a demonstration of a few minutes",
        )
        .after_help(RESULTS)
        .max_term_width(120)
        .args(KEYS.iter().filter_map(flag))
        .arg(path("out", "DIR").help(
            "Folder for the results, which must hold no run [default: runs/demo, runs/TASK or runs/train, numbered]",
        ))
        .arg(
            path("resume", "DIR")
                .conflicts_with_all(["out", "config"])
                .help("Go on in the folder of an earlier run, with its settings"),
        )
        .arg(path("config", "FILE.toml").help(
            "Settings from a file, with the keys of a run's config.toml; flags win over it, paths in it start where you are",
        ))
        .arg(
            run("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the settings as they would run, as TOML, each with where it comes from; run nothing"),
        )
}

/// The flag of a setting. Its text on the command line becomes the TOML value of the setting's key.
fn flag(key: &'static Key) -> Option<Arg> {
    let arg = Arg::new(key.name).long(key.flag_name()?).help_heading(heading(key.group)).allow_negative_numbers(true);
    let parse = |text: OsString| (key.parse)(&text);
    let names = (key.names)();
    Some(match key.flag {
        Flag::Value(name) if names.is_empty() => {
            arg.value_name(name).help(help(key)).value_parser(OsStringValueParser::new().try_map(parse))
        }
        Flag::Value(name) => {
            let parser = PossibleValuesParser::new(names).map(OsString::from).try_map(parse);
            arg.value_name(name).help(help(key)).ignore_case(true).value_parser(parser)
        }
        Flag::Off(help) => arg.action(ArgAction::SetTrue).help(help),
        Flag::FileOnly => return None,
    })
}

fn heading(group: Group) -> &'static str {
    match group {
        Group::Data => "Data",
        Group::Model => "Model",
        Group::Optimisation => "Optimisation",
        Group::Run => "Run",
    }
}

/// What the setting is, and its value where nothing is given.
fn help(key: &Key) -> String {
    static PRESETS: LazyLock<[Table; 2]> = LazyLock::new(|| {
        let defaults = Table::try_from(Settings::default()).unwrap_or_default();
        [preset::paper(), preset::demonstration()].map(|preset| defaults.clone().into_iter().chain(preset).collect())
    });
    let [paper, demonstration] = PRESETS.each_ref().map(|preset| preset.get(key.name).map(shown));
    let default = match (paper, demonstration) {
        (Some(paper), Some(other)) if paper != other => format!(" [default: {paper}; without --images {other}]"),
        (Some(paper), _) => format!(" [default: {paper}]"),
        _ => String::new(),
    };
    key.help.trim().to_string() + &default
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if *number != 0.0 && number.abs() < 0.01 => format!("{number:e}"),
        other => other.to_string(),
    }
}

/// The settings that stand on the command line, by their keys.
fn given(matches: &ArgMatches) -> Table {
    let value = |key: &Key| match key.flag {
        Flag::Value(_) => matches.get_one::<Value>(key.name).cloned(),
        Flag::Off(_) => matches.get_flag(key.name).then_some(Value::Boolean(false)),
        Flag::FileOnly => None,
    };
    KEYS.iter().filter_map(|key| Some((key.name.to_string(), value(key)?))).collect()
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot set up {0}")]
    System(String),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Run(PrepareError::from(error).into())
    }
}

impl Failure {
    /// 2 for what was wrong with the input, 1 for what went wrong afterwards.
    fn code(&self) -> u8 {
        match self {
            Self::Run(RunError::Prepare(_) | RunError::Train(TrainError::Start(_))) => 2,
            Self::Run(_) | Self::System(_) => 1,
        }
    }

    /// The message, with the flag's name for a value that a flag gave, and with what flags can do about it.
    fn message(&self) -> String {
        let Self::Run(RunError::Prepare(error)) = self else { return format!("{self}{}", self.advice()) };
        match error {
            PrepareError::Settings(SettingsError::Value {
                origin: Origin::Given,
                problem: Problem { key, value: Some(value), reason },
            }) => format!("--{} {value}: {reason}", key.replace('_', "-")),
            _ => format!("{self}{}", self.advice()),
        }
    }

    fn advice(&self) -> String {
        let folder = match self {
            Self::Run(RunError::Prepare(error)) => match error {
                PrepareError::Device(_) => return "; --device cpu computes without it".to_string(),
                PrepareError::OtherVariant { found, .. } => {
                    return format!(": give --variant {found}, or another file");
                }
                PrepareError::Folder(error) => error,
                _ => return String::new(),
            },
            Self::Run(RunError::Train(TrainError::Start(error))) => error,
            _ => return String::new(),
        };
        match folder {
            FolderError::Occupied { path } => {
                format!(": go on in it with --resume {}, or choose another --out", path.display())
            }
            FolderError::NoRun { .. } => ". --resume takes the folder that `train` wrote into (its --out)".to_string(),
            FolderError::Busy { .. } => ": stop it first, or choose another --out".to_string(),
            _ => String::new(),
        }
    }
}

/// Prints a line. Training does not end because nobody reads any more, or the disk of its output is full.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(Some(Outcome::Stopped { .. })) => ExitCode::from(INTERRUPTED),
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("train: {}", failure.message());
            ExitCode::from(failure.code())
        }
    }
}

fn run(matches: &ArgMatches) -> Result<Option<Outcome>, Failure> {
    let path = |name: &str| matches.get_one::<PathBuf>(name);
    let given = Layer::given(given(matches))?;
    if matches.get_flag("print-config") {
        let resolved = match path("resume") {
            Some(folder) => resume(&folder.join("config.toml"), &given)?,
            None => resolved(path("config"), given)?,
        };
        say(resolved.annotated().trim_end());
        return Ok(None);
    }
    let trainer = match path("resume") {
        Some(folder) => Trainer::resume(folder).with(given),
        None => {
            let trainer = Trainer::new(resolved(path("config"), given)?.settings);
            path("out").into_iter().fold(trainer, |trainer, out| trainer.out(out))
        }
    };
    let mut console = Console::new();
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let stop = stop_at_interrupt()?;
    let trained = trainer.command(words).stop_when(stop).on_event(|event| console.event(event)).run();
    console.bar.finish_and_clear();
    let trained = trained?;
    let place = trained.folder.display();
    match trained.outcome {
        Outcome::Stopped { step } => say(format_args!("stopped after step {step}; go on with: train --resume {place}")),
        Outcome::Finished => {
            say(format_args!("done: {place} holds best/model.safetensors, log.jsonl, curves.svg, samples.png"));
        }
        Outcome::AlreadyFinished { step } => say(format_args!(
            "{place} is finished after {step} steps. Longer --steps and --epochs beside --resume go on; its best model is {}",
            trained.best_model().display()
        )),
    }
    Ok(Some(trained.outcome))
}

/// The settings of a file, if there is one, and over it those given.
fn resolved(file: Option<&PathBuf>, given: Layer) -> Result<Resolved, SettingsError> {
    let file = file.map(|path| Layer::file(path)).transpose()?;
    resolve(&file.into_iter().chain([given]).collect::<Vec<_>>())
}

/// A flag that the first Ctrl-C (or SIGTERM) sets; the second ends the program at once.
fn stop_at_interrupt() -> Result<&'static AtomicBool, Failure> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("\nstopping after this step; Ctrl-C again quits at once, without saving");
    })
    .map_err(|e| Failure::System(format!("the Ctrl-C handler: {e}")))?;
    Ok(&STOP)
}
/// How often a line is printed where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(10);
static STYLE: LazyLock<ProgressStyle> = LazyLock::new(|| {
    ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
});

/// Shows a run: a bar on a terminal, otherwise a line now and then.
struct Console {
    task: Option<Task>,
    bar: ProgressBar,
    steps: u64,
    loss: Option<f64>,
    images_per_second: Option<f64>,
    last_line: Instant,
}

impl Console {
    fn new() -> Self {
        let bar = ProgressBar::hidden();
        Self { task: None, bar, steps: 0, loss: None, images_per_second: None, last_line: Instant::now() }
    }

    /// Above the bar, or just out.
    fn line(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn ready(&mut self, overview: &Overview) {
        say(overview);
        self.task = overview.settings.task;
        self.steps = overview.plan.steps;
        self.bar = ProgressBar::new(self.steps).with_style(STYLE.clone());
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

    fn epoch(&self, epoch: u64, loss: f64, validation: Option<&Summary>, best: bool) {
        let mut text = format!("epoch {epoch}  mean loss {loss:.4}");
        if let Some(summary) = validation {
            let selected = summary.get(SELECTION_KEY).unwrap_or(f64::NAN);
            text += &format!("  {SELECTION_KEY} {selected:.4}");
            for column in metrics::columns(self.task) {
                if column.key != SELECTION_KEY {
                    text += &format!("  {} {:.4}", column.heading, column.of(summary));
                }
            }
        }
        self.line(&(text + if best { "  (best)" } else { "" }));
    }
}

impl Observer for Console {
    fn event(&mut self, event: &Event) {
        match *event {
            Event::Note(note) if note.is_warning() => eprintln!("warning: {note}"),
            Event::Note(note) => say(format_args!("{:<10} {note}", note.topic())),
            Event::Ready(overview) => self.ready(overview),
            Event::Step { step, epoch, loss, rate, seconds, images } => {
                self.step(step, epoch, loss, rate, images as f64 / seconds);
            }
            Event::Validating { done, of } => self.bar.set_message(format!("validating {done}/{of}")),
            Event::Epoch { epoch, loss, validation, best } => self.epoch(epoch, loss, validation, best),
            Event::Saved { .. } => {}
            Event::Reporting => self.bar.set_message("drawing curves and samples"),
        }
    }
}
