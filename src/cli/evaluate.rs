//! `sam2unet evaluate`.

use super::console::{bar, print, warn};
use super::failure::{Failure, Status};
use super::flags::{Threads, choice};
use crate::data::read::facts::{ExifOrientation, ReadOptions};
use crate::files::folder::parent;
use crate::files::write::write;
use crate::metrics::all::{MetricTitle, titles};
use crate::metrics::folders::{EvaluationError, FolderScores, PairedFolders, PairingOptions};
use crate::metrics::report::{JsonReport, table};
use crate::metrics::task::Task;
use clap::Args;
use std::collections::HashSet;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sam2unet evaluate --predictions PREDICTED --masks MASKS --task polyp --json scores.json
  sam2unet evaluate --pair CAMO p/CAMO t/CAMO --pair COD10K p/COD10K t/COD10K --task camouflage

A prediction belongs to the mask with the same file stem. Predictions are 8-bit maps of the mask's size, stretched
between their own lowest and highest level; a mask is foreground above 128 (for mirrors: at 255).";

/// What `--help` says after the flags: what is computed, with the names of the scores in JSON.
fn notes() -> String {
    let titles = titles();
    let line = |metric: &MetricTitle| format!("  {}: {}\n", metric.title, metric.keys.join(" "));
    let scores: String = titles.iter().map(line).collect();
    format!("Scores, and their names in JSON:\n{scores}\n{EXAMPLES}")
}

#[derive(Args)]
#[command(about = "Scores predictions against masks", after_help = notes())]
pub(crate) struct Evaluate {
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
    /// Show the scores that the paper prints for this task, in its order; the JSON then holds those too that no other task has
    #[arg(long, value_name = "NAME", value_parser = choice::<Task>())]
    task: Option<Task>,
    /// Write all scores to this file: an object with the scores and `per_image`; with --pair or --name, one such object
    /// for each set, under its name
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Look into the folders' subfolders, too
    #[arg(long)]
    recursive: bool,
    /// Divide grey files of 16 bits by 257; without it values above 255 are clipped to white, as Pillow does
    #[arg(long)]
    scale_16_bit: bool,
    #[command(flatten)]
    threads: Threads,
}

impl Evaluate {
    /// Scores.
    pub fn run(self) -> Result<Status, Failure> {
        let sets = self.sets()?;
        for set in sets.iter().filter(|set| set.without_mask() > 0) {
            warn(format_args!(
                "warning: {}: not scored, because they have no mask: {}",
                set.name(),
                set.without_mask()
            ));
        }
        if let Some(path) = &self.json
            // before the scoring, which takes long
            && (path.is_dir() || !parent(path).is_dir())
        {
            let path = path.display();
            return Err(Failure::input(format_args!("--json {path}: it must be a file in a folder that exists")));
        }
        let scores = self.threads.start()?.install(|| score(&sets))?;
        for set in &scores {
            for warning in set.warnings.iter().filter(|warning| warning.is_suspicious()) {
                warn(format_args!("warning: {}: {warning}", set.name));
            }
        }
        // shown first, so that no failing disk takes them away
        let shown = print(table(&scores, self.task));
        if let Some(path) = &self.json {
            let report =
                JsonReport { sets: &scores, named: self.name.is_some() || !self.pair.is_empty(), task: self.task };
            write_json(path, &report)
                .map_err(|error| Failure::input(format_args!("cannot write {}: {error}", path.display())))?;
        }
        shown
    }

    /// The named sets to score, their files paired up.
    fn sets(&self) -> Result<Vec<PairedFolders>, Failure> {
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
            return Err(Failure::input(format_args!(
                "two sets are called {twice}; give each its own name (--name, --pair NAME ...)"
            )));
        }
        let read = ReadOptions { exif_orientation: ExifOrientation::Ignore, scale_16_bit: self.scale_16_bit };
        let options = PairingOptions { recursive: self.recursive, read };
        let open = |(name, predictions, masks)| Ok(PairedFolders::open(name, predictions, masks, options)?);
        named.into_iter().map(open).collect()
    }
}

/// Scores the sets one after the other, with a progress bar where a person watches.
fn score(sets: &[PairedFolders]) -> Result<Vec<FolderScores>, EvaluationError> {
    let total: usize = sets.iter().map(PairedFolders::pairs).sum();
    let bar = bar(total as u64).with_message("images");
    let scores = sets.iter().map(|set| set.score(|| bar.inc(1))).collect();
    bar.finish_and_clear();
    scores
}

/// Writes the report whole or leaves what was there.
fn write_json(path: &Path, report: &JsonReport<'_>) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    // a pipe or a device cannot be replaced
    if path.exists() && !path.is_file() {
        return Ok(std::fs::write(path, text)?);
    }
    Ok(write(path, text)?)
}
