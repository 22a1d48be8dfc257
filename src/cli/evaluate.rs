//! `sam2unet evaluate`.

use super::console::{bar, print, tell, tell_unused, warn};
use super::failure::{Failure, Status};
use super::flags::{Reading, Threads, choice};
use super::json_file::{check, write_json};
use crate::data::read::facts::ReadOptions;
use crate::data::warning::{Warning, WarningCode};
use crate::metrics::all::{MetricTitle, titles};
use crate::metrics::folders::{EvaluationError, FolderScores, PairedFolders, PairingOptions};
use crate::metrics::report::{JsonReport, table};
use crate::metrics::task::Task;
use clap::Args;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sam2unet evaluate --predictions PREDICTED --masks MASKS --task polyp --json scores.json
  sam2unet evaluate --pair CAMO p/CAMO t/CAMO --pair COD10K p/COD10K t/COD10K --task camouflage

A prediction belongs to the mask with the same file stem. Where there is one choice, case and
Unicode's form do not matter. Predictions are 8-bit maps of the mask's size, as written by
`sam2unet predict --like MASKS`, stretched between their own lowest and highest level; a mask is
foreground above 128 (for mirrors: at 255).";

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
    /// Look into the folders' subfolders, too: a prediction and its mask lie in subfolders of the same names
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    threads: Threads,
}

impl Evaluate {
    /// Scores.
    pub fn run(self) -> Result<Status, Failure> {
        let sets = self.sets()?;
        sets.iter().for_each(tell_found);
        if let Some(path) = &self.json {
            check(path)?;
        }
        let scores = self.threads.start()?.install(|| score(&sets))?;
        for FolderScores { name, about_predictions, about_masks, .. } in &scores {
            about_predictions.iter().for_each(|warning| tell(warning, &format!("{name}: predictions:")));
            about_masks.iter().for_each(|warning| tell(warning, &format!("{name}: masks:")));
        }
        // shown first, so that no failing disk takes them away
        let shown = print(table(&scores, self.task));
        if let Some(path) = &self.json {
            let report =
                JsonReport { sets: &scores, named: self.name.is_some() || !self.pair.is_empty(), task: self.task };
            write_json(path, &report)?;
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
        let read = self.reading.over(ReadOptions::default());
        let options = PairingOptions { recursive: self.recursive, read };
        let open = |(name, predictions, masks)| Ok(PairedFolders::open(name, predictions, masks, options)?);
        named.into_iter().map(open).collect()
    }
}

/// Warns of what lies in the folders of a set and is not scored, and of names that match loosely.
fn tell_found(set: &PairedFolders) {
    let (name, found) = (set.name(), set.found());
    if !found.without_mask.is_empty() {
        let count = found.without_mask.len();
        warn(format_args!("warning: {name}: not scored, because they have no mask: {count}"));
    }
    tell_unused(&found.among_predictions, format!("{name}: predictions"));
    tell_unused(&found.among_masks, format!("{name}: masks"));
    let loose = Warning::about(WarningCode::NamesDiffer, found.loosely_named.clone(), set.pairs(), "");
    if let Some(loose) = loose {
        tell(&loose, &format!("{name}:"));
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
