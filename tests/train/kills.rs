//! Every state that a kill between two renames of a save can leave.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sam2unet::train::{Event, RunFolder, Settings, Sources};

use crate::support::run_folder::copy;
use crate::support::toy::{Noise, Toy, never, result, run, settings, sources, watched};

/// The folder after each save, in their order, and after the end.
fn saves(run: &Path, settings: &Settings, sources: &Sources) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let look = |event: &Event| {
        if let Event::Saved { .. } = event {
            let place = run.with_extension(places.len().to_string());
            copy(run, &place);
            places.push(place);
        }
    };
    watched(run, settings, sources, &mut Toy::new(), never, look).unwrap();
    places
}

fn steps(run: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(run.join("checkpoints")).unwrap().map(name).collect()
}

fn turn(run: &Path, name: &str, to: &Path) {
    let _ = fs::remove_file(run.join(name));
    symlink(to, run.join(name)).unwrap();
}

/// What the save that led from `before` to `after` leaves when it is cut off, each state in a folder of its own.
fn cut_off(before: &Path, after: &Path, place: &Path) -> BTreeMap<&'static str, PathBuf> {
    let link = |run: &Path, name: &str| fs::read_link(run.join(name)).ok();
    let last = link(after, "last").unwrap();
    let mut states = BTreeMap::new();
    let mut next = |name: &'static str, from: &Path, change: &dyn Fn(&Path)| {
        let to = place.join(name);
        copy(from, &to);
        // the log was brought to the disk before
        fs::copy(after.join("log.jsonl"), to.join("log.jsonl")).unwrap();
        change(&to);
        states.insert(name, to.clone());
        to
    };
    next("half written", before, &|run| {
        let new = run.join(&last).with_extension("new");
        fs::create_dir_all(&new).unwrap();
        fs::copy(after.join(&last).join("model.safetensors"), new.join("model.safetensors")).unwrap();
        fs::write(new.join(".sam2unet-abcdef.partial"), "half").unwrap();
    });
    let written = next("written", before, &|run| match run.join(&last).exists() {
        // a second save at this step
        true => drop(fs::copy(after.join(&last).join("state.json"), run.join(&last).join("state.json")).unwrap()),
        false => copy(&after.join(&last), &run.join(&last)),
    });
    next("link made", &written, &|run| symlink(&last, run.join(".last.new")).unwrap());
    let turned = next("last turned", &written, &|run| turn(run, "last", &last));
    let both = next("both turned", &turned, &|run| {
        if let Some(best) = link(after, "best") {
            turn(run, "best", &best);
        }
    });
    next("half removed", &both, &|run| {
        for step in steps(run).into_iter().filter(|step| !steps(after).contains(step)) {
            let hidden = run.join("checkpoints").join(format!(".{step}.0.discarded"));
            fs::rename(run.join("checkpoints").join(step), &hidden).unwrap();
            fs::remove_file(hidden.join("optimiser.safetensors")).unwrap();
        }
    });
    states
}

fn every_state_goes_on_to_the_same_bytes(settings: &Settings, sources: &Sources) {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let saves = saves(&whole, settings, sources);
    assert!(saves.len() > 3);
    let mut states = 0;
    for (number, pair) in saves.windows(2).enumerate() {
        for (name, place) in cut_off(&pair[0], &pair[1], &dir.path().join(format!("cut-{number}"))) {
            // whoever reads it now finds what it names, and opening it is enough to put it right
            let folder = RunFolder::open(&place).unwrap_or_else(|error| panic!("{name}: {error}"));
            let state = folder.state().unwrap().unwrap();
            drop(folder);
            let named = |name: &str| fs::read_link(place.join(name)).ok();
            let of = |step: u64| Some(Path::new("checkpoints").join(step.to_string()));
            assert_eq!(
                (named("last"), named("best")),
                (of(state.step), state.best.and_then(|best| of(best.step))),
                "{name}"
            );
            run(&place, settings, sources, &mut Toy::new(), never).unwrap();
            assert_eq!(result(&whole), result(&place), "{name} of save {number}");
            assert_eq!(steps(&whole).len(), steps(&place).len(), "{name} of save {number}");
            states += 1;
        }
    }
    assert_eq!(states, 6 * (saves.len() - 1));
}

#[test]
fn a_save_at_the_end_of_an_epoch() {
    every_state_goes_on_to_the_same_bytes(&Settings { epochs: Some(5), ..settings() }, &sources(7));
}

#[test]
fn a_save_that_is_the_best_too() {
    // loss decides: each epoch is the best
    every_state_goes_on_to_the_same_bytes(
        &Settings { epochs: Some(5), ..settings() },
        &Sources::of(Noise::new(1, 7), None),
    );
}

#[test]
fn a_save_after_each_step_of_which_some_are_the_second_of_their_step() {
    let settings = Settings { epochs: Some(3), checkpoint_minutes: 0.0, keep: 2, ..settings() };
    every_state_goes_on_to_the_same_bytes(&settings, &sources(7));
}

/// There is no `last` yet.
#[test]
fn the_first_save() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let settings = Settings { epochs: Some(2), ..settings() };
    run(&whole, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    run(&cut, &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    fs::remove_file(cut.join("last")).unwrap();
    let half = dir.path().join("half");
    copy(&cut, &half);
    fs::rename(half.join("checkpoints/2"), half.join("checkpoints/2.new")).unwrap();
    for (place, step) in [(&cut, Some(2)), (&half, None)] {
        let folder = RunFolder::open(place).unwrap();
        assert_eq!(folder.saved(), step);
        drop(folder);
        run(place, &settings, &sources(7), &mut Toy::new(), never).unwrap();
        assert_eq!(result(&whole), result(place));
    }
}
