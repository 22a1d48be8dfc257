//! Runs that the version before numbered checkpoints began, where `last` and `best` are folders.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};

use sam2unet::train::{Event, FolderError, Outcome, RunFolder, Settings, Sources};

use crate::support::run_folder::{as_earlier, copy};
use crate::support::toy::{Noise, Toy, never, result, run, settings, sources, watched};

fn epochs(epochs: u64) -> Settings {
    Settings { epochs: Some(epochs), ..settings() }
}

/// A folder of the earlier version, stopped after a step.
fn earlier(place: &Path, settings: &Settings, sources: &Sources, step: u64) {
    run(place, settings, sources, &mut Toy::new(), |now| now == step).unwrap();
    as_earlier(place);
    assert!(fs::symlink_metadata(place.join("last")).unwrap().is_dir());
}

fn is_link(run: &Path, name: &str) -> bool {
    fs::symlink_metadata(run.join(name)).is_ok_and(|found| found.is_symlink())
}

#[test]
fn an_earlier_run_goes_on_to_the_same_bytes_and_moves_at_its_first_save() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    run(&whole, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
    for step in 1..12 {
        let place = dir.path().join(step.to_string());
        earlier(&place, &epochs(4), &sources(7), step);
        // opening it changes nothing
        let folder = RunFolder::open(&place).unwrap();
        assert_eq!((folder.saved(), folder.notes().len(), folder.state().unwrap().unwrap().format), (Some(step), 0, 1));
        drop(folder);
        assert!(!is_link(&place, "last") && !is_link(&place, "best"));
        let look = |event: &Event| {
            if let Event::Saved { step, .. } = event {
                assert_eq!(fs::read_link(place.join("last")).unwrap(), Path::new("checkpoints").join(step.to_string()));
                assert!(is_link(&place, "best") || !place.join("best").exists());
            }
        };
        watched(&place, &epochs(4), &sources(7), &mut Toy::new(), never, look).unwrap();
        assert_eq!(result(&whole), result(&place), "from step {step}");
        let count = |run: &Path| fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert_eq!(count(&whole), count(&place), "from step {step}");
    }
}

/// A run that ended inside an epoch, whose best of whole epochs was set aside, is made longer.
#[test]
fn what_was_set_aside_comes_back() {
    let mut aside = 0;
    for steps in [4, 5, 7, 8] {
        let dir = tempfile::tempdir().unwrap();
        let (whole, place) = (dir.path().join("whole"), dir.path().join("place"));
        let of = |steps| Settings { steps: Some(steps), ..epochs(4) };
        run(&whole, &of(11), &sources(7), &mut Toy::new(), never).unwrap();
        run(&place, &of(steps), &sources(7), &mut Toy::new(), never).unwrap();
        as_earlier(&place);
        aside += usize::from(place.join("best.epoch").exists());
        run(&place, &of(11), &sources(7), &mut Toy::new(), never).unwrap();
        assert_eq!(result(&whole), result(&place));
        assert!(!place.join("best.epoch").exists());
    }
    assert!(aside > 0);
}

/// One that ended inside its first epoch has a best model, and no best of whole epochs.
#[test]
fn a_best_model_of_an_unfinished_first_epoch_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, place) = (dir.path().join("whole"), dir.path().join("place"));
    let of = |steps| Settings { steps: Some(steps), ..epochs(4) };
    for (first, second) in [(2, 5), (1, 2)] {
        run(&whole, &of(second), &sources(7), &mut Toy::new(), never).unwrap();
        run(&place, &of(first), &sources(7), &mut Toy::new(), never).unwrap();
        as_earlier(&place);
        assert!(place.join("best").is_dir() && !place.join("best.epoch").exists());
        run(&place, &of(second), &sources(7), &mut Toy::new(), never).unwrap();
        assert_eq!(result(&whole), result(&place));
        for run in [&whole, &place] {
            fs::remove_dir_all(run).unwrap();
        }
    }
}

/// A finished one is told to be finished, and its best model is found.
#[test]
fn a_finished_earlier_run_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &epochs(1), &sources(7), &mut Toy::new(), never).unwrap();
    as_earlier(dir.path());
    let before = result(dir.path());
    let outcome = run(dir.path(), &epochs(1), &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(outcome, Outcome::AlreadyFinished { step: 3 });
    assert_eq!(before, result(dir.path()));
    assert!(!dir.path().join("checkpoints").exists());
    assert_eq!(RunFolder::best_model_in(dir.path()), dir.path().join("best/model.safetensors"));
}

/// A replacement of the earlier version that was cut off by a kill, for each of the two folders.
#[test]
fn an_earlier_versions_own_replacements_are_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, from) = (dir.path().join("whole"), dir.path().join("from"));
    run(&whole, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
    earlier(&from, &epochs(4), &sources(7), 7);
    type Change = fn(&Path);
    let cases: [(&str, Change); 4] = [
        ("half of a new one", |run| fs::create_dir(run.join("last.new")).unwrap()),
        ("moved away", |run| fs::rename(run.join("last"), run.join("last.old")).unwrap()),
        ("moved away, new one whole", |run| {
            fs::rename(run.join("last"), run.join("last.new")).unwrap();
            fs::create_dir(run.join("last.old")).unwrap();
        }),
        ("best moved away", |run| fs::rename(run.join("best"), run.join("best.old")).unwrap()),
    ];
    for (name, change) in cases {
        let place = dir.path().join(name);
        copy(&from, &place);
        change(&place);
        run(&place, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
        assert_eq!(result(&whole), result(&place), "{name}");
        for left in ["last.new", "last.old", "best.new", "best.old"] {
            assert!(!place.join(left).exists(), "{name}: {left}");
        }
    }
}

/// Every state that a kill can leave while the first save moves the folders.
#[test]
fn a_move_that_was_cut_off_is_completed() {
    for (sources, from) in [(sources(7), 4), (sources(7), 7), (Sources::of(Noise::new(1, 7), None), 6)] {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        run(&whole, &epochs(5), &sources, &mut Toy::new(), never).unwrap();
        let before = dir.path().join("before");
        earlier(&before, &epochs(5), &sources, from);
        // the first save after the resume, at the end of the epoch under way
        let (running, after) = (dir.path().join("running"), dir.path().join("after"));
        copy(&before, &running);
        let look = |event: &Event| {
            if matches!(event, Event::Saved { .. }) && !after.exists() {
                copy(&running, &after);
            }
        };
        watched(&running, &epochs(5), &sources, &mut Toy::new(), never, look).unwrap();
        let after_save = fs::read_link(after.join("last")).unwrap();
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(after.join("last/state.json")).unwrap()).unwrap();
        let best = state["best"]["step"].as_u64().map(|best| format!("checkpoints/{best}"));
        let next = |name: &str, from: &Path, change: &dyn Fn(&Path)| -> PathBuf {
            let to = dir.path().join(name);
            copy(from, &to);
            fs::copy(after.join("log.jsonl"), to.join("log.jsonl")).unwrap();
            change(&to);
            to
        };
        let written = next("written", &before, &|run| copy(&after.join(&after_save), &run.join(&after_save)));
        let moved = next("last moved", &written, &|run| {
            let place = run.join(format!("checkpoints/{from}"));
            // of the same step: it is not needed twice
            let place = if place.exists() { run.join("checkpoints/.last.0.discarded") } else { place };
            fs::rename(run.join("last"), place).unwrap();
        });
        let turned = next("last turned", &moved, &|run| {
            std::os::unix::fs::symlink(&after_save, run.join("last")).unwrap();
        });
        let best_moved = next("best moved", &turned, &|run| {
            let Some(best) = best.as_ref().map(|best| run.join(best)) else { return };
            match (best.exists(), run.join("best").exists()) {
                (_, false) => {}
                (true, true) => fs::rename(run.join("best"), run.join("checkpoints/.best.0.discarded")).unwrap(),
                (false, true) => fs::rename(run.join("best"), best).unwrap(),
            }
        });
        for place in [before, written, moved, turned, best_moved, after] {
            assert!(RunFolder::open(&place).unwrap().saved().is_some_and(|step| step >= from), "{}", place.display());
            run(&place, &epochs(5), &sources, &mut Toy::new(), never).unwrap();
            assert_eq!(result(&whole), result(&place), "{} from {from}", place.display());
            assert!(is_link(&place, "last") && is_link(&place, "best"), "{} from {from}", place.display());
        }
    }
}

/// A copy whose `best` is newer than its `last`: what is there stays the best model.
#[test]
fn a_best_model_of_another_step_than_the_position_names_stays_the_best() {
    let dir = tempfile::tempdir().unwrap();
    let (newer, place) = (dir.path().join("newer"), dir.path().join("place"));
    run(&newer, &epochs(4), &sources(7), &mut Toy::new(), |step| step == 10).unwrap();
    earlier(&place, &epochs(4), &sources(7), 7);
    let model = fs::read(newer.join("last/model.safetensors")).unwrap();
    fs::write(place.join("best/model.safetensors"), &model).unwrap();
    run(&place, &epochs(4), &sources(7), &mut Toy::new(), |step| step == 8).unwrap();
    assert_eq!(fs::read_link(place.join("best")).unwrap(), Path::new("checkpoints/10"));
    assert_eq!(fs::read(place.join("best/model.safetensors")).unwrap(), model);
}

#[test]
fn an_earlier_run_without_its_position_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    earlier(dir.path(), &epochs(2), &sources(7), 4);
    fs::remove_file(dir.path().join("last/state.json")).unwrap();
    assert!(matches!(RunFolder::open(dir.path()), Err(FolderError::Read { .. })));
}
