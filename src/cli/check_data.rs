//! `sam2unet train --check-data`: reads the images and masks of a run, and trains nothing.

use super::cache::cache_folder;
use super::console::{Console, print, say, tell, warn};
use super::failure::{Failure, Status};
use super::flag_names::with_flags;
use super::json_file::{check, check_file, write_json};
use crate::data::names::has_ending;
use crate::data::write::write_png;
use crate::files::folder::parent;
use crate::train::settings::settings::Settings;
use crate::train::sources::{DataReport, InspectedFolders};
use std::path::Path;

/// Images on a sheet.
const ON_SHEET: usize = 24;

/// Prints what the folders of `settings` hold and what is likely wrong with them; writes the same as JSON into a file, and images with
/// their labels as a picture.
pub(super) fn check_data(settings: &Settings, json: Option<&Path>, sheet: Option<&Path>) -> Result<Status, Failure> {
    json.map_or(Ok(()), check)?;
    sheet.map_or(Ok(()), check_sheet)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut console = Console::new();
    let mut progress = |done: usize, of: usize| console.checking(done, of);
    let kept = cache_folder();
    let threads = settings.threads.unwrap_or(cores);
    let Some(folders) = InspectedFolders::open(settings, threads, kept.as_deref(), &mut progress) else {
        return Err(Failure::input("--check-data needs files: give --data, or --images and --masks"));
    };
    let report = folders.report();
    // shown first, so that no failing disk takes it away
    say(&report);
    tell_warnings(&report);
    if let Some(path) = json {
        write_json(path, &report)?;
    }
    if let Some(path) = sheet {
        write_sheet(path, &folders)?;
    }
    let errors: usize = report.sets().map(|(_, set)| set.errors.len()).sum();
    match folders.into_errors() {
        None => print("these images can be trained on\n"),
        Some(error) if errors == 1 => Err(error.into()),
        Some(error) => Err(Failure::input(with_flags(format_args!("{error}\na run on these images would be refused")))),
    }
}

fn check_sheet(path: &Path) -> Result<(), Failure> {
    check_file("--sheet", path)?;
    match has_ending(path, "png") {
        true => Ok(()),
        false => Err(Failure::input(format_args!("--sheet {}: it is a PNG; call it NAME.png", path.display()))),
    }
}

fn write_sheet(path: &Path, folders: &InspectedFolders) -> Result<(), Failure> {
    if folders.holds_files_of(parent(path)) {
        let path = path.display();
        return Err(Failure::input(format_args!(
            "--sheet {path}: images or masks lie in this folder, and the next run would take the sheet for one; give another folder"
        )));
    }
    match folders.sheet(ON_SHEET) {
        Some(sheet) => {
            write_png(path, &sheet)?;
            say(format_args!("images with their labels: {}", path.display()));
        }
        None => warn(format_args!("note: no image can be used, so there is no sheet {}", path.display())),
    }
    Ok(())
}

fn tell_warnings(report: &DataReport) {
    for (name, set) in report.sets() {
        for warning in &set.warnings {
            tell(warning, &format!("{name}:"));
        }
    }
}
