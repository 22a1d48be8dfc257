//! `sam2unet train --check-data`: reads the images and masks of a run, and trains nothing.

use super::cache::cache_folder;
use super::console::{Console, print, say, tell};
use super::failure::{Failure, Status};
use super::flag_names::with_flags;
use super::json_file::{check, write_json};
use crate::train::settings::settings::Settings;
use crate::train::sources::{DataReport, InspectedFolders};
use std::path::Path;

/// Prints what the folders of `settings` hold and what is likely wrong with them; writes the same as JSON into a file.
pub(super) fn check_data(settings: &Settings, json: Option<&Path>) -> Result<Status, Failure> {
    json.map_or(Ok(()), check)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut console = Console::new();
    let mut progress = |done: usize, of: usize| console.checking(done, of);
    let kept = cache_folder();
    let threads = settings.threads.unwrap_or(cores);
    let Some(folders) = InspectedFolders::open(settings, threads, kept.as_deref(), &mut progress) else {
        return Err(Failure::input("--check-data needs files: give --images and --masks"));
    };
    let report = folders.report();
    // shown first, so that no failing disk takes it away
    say(&report);
    tell_warnings(&report);
    if let Some(path) = json {
        write_json(path, &report)?;
    }
    let errors: usize = report.sets().map(|(_, set)| set.errors.len()).sum();
    match folders.into_errors() {
        None => print("these images can be trained on\n"),
        Some(error) if errors == 1 => Err(error.into()),
        Some(error) => Err(Failure::input(with_flags(format_args!("{error}\na run on these images would be refused")))),
    }
}

fn tell_warnings(report: &DataReport) {
    for (name, set) in report.sets() {
        for warning in &set.warnings {
            tell(warning, &format!("{name}:"));
        }
    }
}
