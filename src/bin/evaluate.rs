//! Scores predictions against masks, as the SAM2-UNet paper and PySODMetrics do.

use std::collections::HashSet;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sam2unet::files;
use sam2unet::metrics::{FolderScores, JsonReport, PairedFolders, Task, table};

sam2unet::load_cuda_libraries_late!();

/// Scores predictions against masks: S-measure, F, weighted F, E-measure, MAE, Dice, IoU, BER.
///
/// A prediction belongs to the mask with the same file stem. Predictions are 8-bit maps of the mask's size, stretched
/// between their own lowest and highest level; a mask is foreground above 128 (for mirrors: at 255).
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of predicted maps
    #[arg(long, value_name = "DIR", requires = "masks", required_unless_present = "pair")]
    predictions: Option<PathBuf>,

    /// Folder of masks, one for each prediction
    #[arg(long, value_name = "DIR", requires = "predictions")]
    masks: Option<PathBuf>,

    /// What to call the set given by --predictions and --masks [default: the predictions folder's name]
    #[arg(long, requires = "predictions")]
    name: Option<String>,

    /// One more set of predictions and masks, with its name; may be repeated
    #[arg(long, num_args = 3, value_names = ["NAME", "PREDICTIONS", "MASKS"])]
    pair: Vec<OsString>,

    /// Show the scores that the paper prints for this task, in its order: camouflage, salient, marine, mirror, polyp.
    /// With mirror the JSON holds mirrorIoU, mirrorF and mirrorMAE too
    #[arg(long, value_name = "NAME")]
    task: Option<Task>,

    /// Write all scores to this file: an object with the scores and `per_image`; with --pair or --name, one such object
    /// for each set, under its name
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Images to score at once [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let sets = arguments.sets()?;
    for set in sets.iter().filter(|set| set.without_mask() > 0) {
        eprintln!("warning: {}: not scored, because they have no mask: {}", set.name(), set.without_mask());
    }
    if let Some(path) = &arguments.json {
        // before the scoring, which takes long
        let folder = folder_of(path);
        if path.is_dir() || !folder.is_dir() {
            return Err(format!("--json {}: it must be a file in a folder that exists", path.display()).into());
        }
    }
    let threads = arguments.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let scores = pool.install(|| score(&sets))?;
    // shown first, so that no failing disk takes them away
    let shown = io::stdout().write_all(table(&scores, arguments.task).as_bytes());
    if let Some(path) = &arguments.json {
        let report = JsonReport {
            sets: &scores,
            named: arguments.name.is_some() || !arguments.pair.is_empty(),
            task: arguments.task,
        };
        write_json(path, &report).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(shown?)
}

impl Arguments {
    /// The named sets to score, their files paired up.
    fn sets(&self) -> Result<Vec<PairedFolders>, Box<dyn Error>> {
        let mut named = Vec::new();
        if let (Some(predictions), Some(masks)) = (&self.predictions, &self.masks) {
            let folder = predictions.file_name().unwrap_or(predictions.as_os_str());
            let name = self.name.clone().unwrap_or_else(|| folder.to_string_lossy().into_owned());
            named.push((name, predictions.as_path(), masks.as_path()));
        }
        for pair in self.pair.chunks_exact(3) {
            named.push((pair[0].to_string_lossy().into_owned(), Path::new(&pair[1]), Path::new(&pair[2])));
        }
        let mut seen = HashSet::new();
        if let Some((twice, ..)) = named.iter().find(|(name, ..)| !seen.insert(name.clone())) {
            return Err(format!("two sets are called {twice}; give each its own name (--name, --pair NAME ...)").into());
        }
        let open = |(name, predictions, masks)| Ok(PairedFolders::open(name, predictions, masks)?);
        named.into_iter().map(open).collect()
    }
}

/// Scores the sets one after the other, with a progress bar where a person watches.
fn score(sets: &[PairedFolders]) -> Result<Vec<FolderScores>, sam2unet::metrics::EvaluationError> {
    let total: usize = sets.iter().map(PairedFolders::pairs).sum();
    // hidden where the error stream is no terminal
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let scores = sets.iter().map(|set| set.score(|| bar.inc(1))).collect();
    bar.finish_and_clear();
    scores
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the report whole or leaves what was there.
fn write_json(path: &Path, report: &JsonReport<'_>) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    // a pipe or a device cannot be replaced
    if path.exists() && !path.is_file() {
        return Ok(std::fs::write(path, text)?);
    }
    Ok(files::write(path, text)?)
}
