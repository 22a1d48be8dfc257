//! `sam2unet train --check-data`: reads the images and masks of a run, and trains nothing.

use super::cache::cache_folder;
use super::console::{bar, print, say, warn};
use super::failure::{Failure, Status};
use super::flag_names::with_flags;
use crate::files::write::write;
use crate::train::settings::settings::Settings;
use crate::train::sources::{DataReport, InspectedFolders};
use std::path::Path;

/// Prints what the folders of `settings` hold and what is likely wrong with them; writes the same as JSON into a file.
pub(super) fn check_data(settings: &Settings, json: Option<&Path>) -> Result<Status, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = bar(0).with_message("pairs");
    let mut progress = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let kept = cache_folder();
    let threads = settings.threads.unwrap_or(cores);
    let folders = InspectedFolders::open(settings, threads, kept.as_deref(), &mut progress).map_err(Failure::from)?;
    bar.finish_and_clear();
    let Some(folders) = folders else {
        return Err(Failure::input("--check-data needs files: give --images and --masks"));
    };
    let report = folders.report();
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::later)? + "\n";
        write(path, text).map_err(|error| Failure::input(format_args!("cannot write {}: {error}", path.display())))?;
    }
    say(&report);
    tell(&report);
    match report.is_refused() {
        false => print("these images can be trained on\n"),
        true => {
            let bad: usize = report.sets().map(|(_, set)| set.errors.len()).sum();
            Err(Failure::input(format_args!(
                "{bad} files cannot be used, named above: a run on these images would be refused"
            )))
        }
    }
}

fn tell(report: &DataReport) {
    for (name, set) in report.sets() {
        for warning in &set.warnings {
            let word = if warning.is_suspicious() { "warning" } else { "note" };
            warn(with_flags(format_args!("{word}: {name}: {warning}")));
        }
        for error in &set.errors {
            warn(with_flags(format_args!("error: {name}: {error}")));
        }
    }
}
