//! What lies in a run's folder, and folders in which something is missing, mixed or from elsewhere.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use sam2unet::checkpoint::{FORMAT_KEY, FoundAs, WeightFile, find_model};
use sam2unet::train::{Event, FolderError, FolderNote, Outcome, RunFolder, Settings, Sources, State, TrainError};

use crate::support::run_folder::{copy, copy_following};
use crate::support::toy::{Noise, Toy, never, result, run, settings, sources, watched};

/// What is in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn link(run: &Path, name: &str) -> String {
    fs::read_link(run.join(name)).unwrap().to_str().unwrap().to_string()
}

/// The step that a link stands for.
fn linked(run: &Path, name: &str) -> u64 {
    link(run, name).strip_prefix("checkpoints/").unwrap().parse().unwrap()
}

fn state(run: &Path) -> State {
    RunFolder::open(run).unwrap().state().unwrap().unwrap()
}

fn refused(run: &Path) -> String {
    RunFolder::open(run).unwrap_err().to_string()
}

/// Three steps an epoch.
fn epochs(epochs: u64) -> Settings {
    Settings { epochs: Some(epochs), ..settings() }
}

/// Loss decides: each epoch is the best.
fn without_validation() -> Sources {
    Sources::of(Noise::new(1, 7), None)
}

#[test]
fn checkpoints_are_numbered_whole_and_once_and_name_their_step() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &epochs(4), &without_validation(), &mut Toy::new(), never).unwrap();
    // best and last are one model
    assert_eq!(
        (link(dir.path(), "last"), link(dir.path(), "best")),
        ("checkpoints/12".into(), "checkpoints/12".into())
    );
    assert_eq!(names(&dir.path().join("checkpoints")), ["12"]);
    let place = dir.path().join("checkpoints/12");
    assert_eq!(names(&place), ["model.safetensors", "optimiser.safetensors", "state.json"]);
    let model = WeightFile::open(&place.join("model.safetensors")).unwrap();
    assert_eq!((&model.metadata()["step"][..], &model.metadata()[FORMAT_KEY][..]), ("12", "2"));
    assert_eq!(WeightFile::open(&place.join("optimiser.safetensors")).unwrap().metadata()["steps"], "12");
    assert_eq!((state(dir.path()).step, state(dir.path()).format), (12, 2));
    let all = ["best", "checkpoints", "config.toml", "curves.svg", "last", "log.jsonl", "samples.png"];
    assert_eq!(names(dir.path()), all);
}

#[test]
fn the_newest_are_kept_besides_the_best() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { keep: 3, checkpoint_minutes: 0.0, ..epochs(4) };
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap();
    let best = state(dir.path()).best.unwrap().step.to_string();
    let mut kept = vec!["10".to_string(), "11".to_string(), "12".to_string(), best];
    kept.sort();
    kept.dedup();
    assert_eq!(names(&dir.path().join("checkpoints")), kept);
    assert!(Settings { keep: 0, ..settings }.check(true).unwrap_err().to_string().contains("keep"));
}

/// A timed save right before an epoch's end.
#[test]
fn a_second_save_of_a_step_replaces_its_position_only() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { checkpoint_minutes: 0.0, ..epochs(2) };
    let place = dir.path().join("checkpoints/3");
    let inode = |name: &str| fs::metadata(place.join(name)).unwrap().ino();
    let mut seen = Vec::new();
    let look = |event: &Event| {
        if let Event::Saved { step: 3, .. } = event {
            let text = fs::read_to_string(place.join("state.json")).unwrap();
            seen.push((inode("model.safetensors"), inode("optimiser.safetensors"), text));
        }
    };
    watched(dir.path(), &settings, &sources(7), &mut Toy::new(), never, look).unwrap();
    let [first, second] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first.0, first.1), (second.0, second.1));
    assert!(first.2.contains("\"epoch\": 0") && second.2.contains("\"epoch\": 1"), "{seen:?}");
}

#[test]
fn the_end_of_an_unfinished_epoch_may_be_the_best_until_the_run_goes_on() {
    let (mut better, mut worse) = (0, 0);
    for steps in [4, 5, 7, 8, 10] {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let of = |steps| Settings { steps: Some(steps), ..epochs(4) };
        run(&two, &of(steps), &sources(7), &mut Toy::new(), never).unwrap();
        let best = state(&two).best.unwrap().step;
        let at_the_end = linked(&two, "best") == steps;
        *(if at_the_end { &mut better } else { &mut worse }) += 1;
        assert!(at_the_end || linked(&two, "best") == best, "{}", link(&two, "best"));
        // the best of whole epochs is kept, and opening the folder changes nothing
        assert!(best < steps && two.join("checkpoints").join(best.to_string()).join("model.safetensors").is_file());
        let before = link(&two, "best");
        drop(RunFolder::open(&two).unwrap());
        assert_eq!(link(&two, "best"), before);
        // it goes on from where it was, and `best` is what it was
        run(&one, &of(11), &sources(7), &mut Toy::new(), never).unwrap();
        let look = |event: &Event| {
            if let Event::Ready(_) = event {
                assert_eq!(linked(&two, "best"), best);
            }
        };
        watched(&two, &of(11), &sources(7), &mut Toy::new(), never, look).unwrap();
        assert_eq!(result(&one), result(&two));
    }
    assert!(better > 0 && worse > 0, "{better} {worse}");
}

#[test]
fn a_checkpoint_that_is_gone_is_an_error_with_the_way_out_and_never_a_start_at_step_0() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let settings = Settings { keep: 2, ..epochs(4) };
    run(&whole, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    run(&broken, &settings, &sources(7), &mut Toy::new(), |step| step == 8).unwrap();
    assert_eq!(linked(&broken, "last"), 8);
    for gone in ["checkpoints/8/optimiser.safetensors", "checkpoints/8/state.json", "checkpoints/8"] {
        let path = broken.join(gone);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        let message = refused(&broken);
        for part in ["last stands for checkpoints/8", "steps", " 6", "remove `last`", "from step 6"] {
            assert!(message.contains(part), "{gone}: {part}: {message}");
        }
    }
    // as the message says
    fs::remove_file(broken.join("last")).unwrap();
    let folder = RunFolder::open(&broken).unwrap();
    assert_eq!(folder.notes(), [FolderNote::Repaired { named: None, step: 6 }]);
    drop(folder);
    assert_eq!(linked(&broken, "last"), 6);
    run(&broken, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&whole), result(&broken));
    // and where nothing is whole
    for step in names(&broken.join("checkpoints")) {
        fs::remove_file(broken.join("checkpoints").join(step).join("optimiser.safetensors")).unwrap();
    }
    let message = refused(&broken);
    assert!(message.contains("last stands for checkpoints/12; no checkpoint in checkpoints is whole"), "{message}");
    fs::remove_file(broken.join("last")).unwrap();
    assert!(refused(&broken).contains("no checkpoint in checkpoints is whole"));
    fs::remove_dir_all(broken.join("checkpoints")).unwrap();
    assert!(refused(&broken).contains("best stands for checkpoints/"), "{}", refused(&broken));
}

#[test]
fn a_best_model_that_is_gone_is_told_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &epochs(2), &without_validation(), &mut Toy::new(), |step| step == 4).unwrap();
    assert_eq!((linked(dir.path(), "last"), linked(dir.path(), "best")), (4, 3));
    fs::remove_dir_all(dir.path().join("checkpoints/3")).unwrap();
    let folder = RunFolder::open(dir.path()).unwrap();
    assert_eq!(folder.notes(), [FolderNote::BestMissing { step: 3 }]);
    drop(folder);
    let found = find_model(dir.path()).unwrap();
    // whoever takes the run's model is told that it is not the best one, and why
    assert_eq!(found.path, dir.path().join("last/model.safetensors"));
    assert_eq!(found.kind, FoundAs::LastForBest { best: "checkpoints/3".into() });
    assert!(found.to_string().contains("`best` stands for checkpoints/3, which is not there"), "{found}");
    run(dir.path(), &epochs(2), &without_validation(), &mut Toy::new(), never).unwrap();
    assert_eq!(linked(dir.path(), "best"), 6);
}

/// As a copy that was made while the run went on.
#[test]
fn files_of_different_steps_are_refused_with_the_three_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    let settings = Settings { keep: 3, checkpoint_minutes: 0.0, ..epochs(3) };
    run(&from, &settings, &sources(7), &mut Toy::new(), |step| step == 5).unwrap();
    let older = from.join("checkpoints/4");
    let cases = [
        ("model.safetensors", ["4", "5", "5"]),
        ("optimiser.safetensors", ["5", "4", "5"]),
        ("state.json", ["5", "5", "4"]),
    ];
    for (file, [model, optimiser, state]) in cases {
        let copied = dir.path().join(format!("with-{file}"));
        copy(&from, &copied);
        fs::copy(older.join(file), copied.join("checkpoints/5").join(file)).unwrap();
        let error = stopped(&copied, &settings);
        let TrainError::Start(FolderError::MixedSteps { .. }) = &error else { panic!("{file}: {error}") };
        let message = error.to_string();
        let told = format!("model.safetensors of {model}, optimiser.safetensors of {optimiser}, state.json of {state}");
        assert!(message.contains(&told) && message.contains("while it was training"), "{message}");
    }
}

/// Goes on with a learner that is not restored: what is refused is refused before.
fn stopped(run: &Path, settings: &Settings) -> TrainError {
    let mut folder = RunFolder::open(run).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut learner = Toy::new();
    // as many updates as the position says
    let steps = folder.state().unwrap().unwrap().step;
    let mut moments = |_: &str| Some((vec![0.0; 3], vec![0.0; 3]));
    let _ = sam2unet::train::Learner::restore_optimiser(&mut learner, &mut moments, steps);
    sam2unet::train::train(settings, &sources(7), &mut folder, &mut learner, (&stop).into(), &mut |_: &Event| ())
        .unwrap_err()
}

/// Where links cannot be made: every save of the run ends in texts.
#[test]
fn without_links_texts_name_the_folders() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, texts) = (dir.path().join("whole"), dir.path().join("texts"));
    run(&whole, &epochs(3), &sources(7), &mut Toy::new(), never).unwrap();
    let look = |event: &Event| {
        if let Event::Ready(_) = event {
            // what stands where the new link would be made
            for name in [".last.new/x", ".best.new/x"] {
                fs::create_dir_all(texts.join(name)).unwrap();
            }
        }
    };
    watched(&texts, &epochs(3), &sources(7), &mut Toy::new(), |step| step == 5, look).unwrap();
    watched(&texts, &epochs(3), &sources(7), &mut Toy::new(), never, look).unwrap();
    let best = state(&whole).best.unwrap().step;
    assert_eq!(fs::read_to_string(texts.join("last.txt")).unwrap(), "checkpoints/9\n");
    assert_eq!(fs::read_to_string(texts.join("best.txt")).unwrap(), format!("checkpoints/{best}\n"));
    assert!(!texts.join("last").exists() && !texts.join("best").exists());
    let found = find_model(&texts).unwrap();
    assert_eq!(
        (found.kind, &found.path),
        (FoundAs::Best, &texts.join(format!("checkpoints/{best}/model.safetensors")))
    );
    assert_eq!(RunFolder::best_model_in(&texts), found.path);
    // with links again
    for name in [".last.new", ".best.new"] {
        fs::remove_dir_all(texts.join(name)).unwrap();
    }
    run(&texts, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
    run(&whole, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
    assert!(!texts.join("last.txt").exists());
    assert_eq!(result(&whole), result(&texts));
}

/// `cp -L`, and programs that copy no links.
#[test]
fn a_copy_with_folders_for_links_or_without_links_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, from) = (dir.path().join("whole"), dir.path().join("from"));
    run(&whole, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
    run(&from, &epochs(4), &sources(7), &mut Toy::new(), |step| step == 8).unwrap();
    let (followed, without) = (dir.path().join("followed"), dir.path().join("without"));
    copy_following(&from, &followed);
    copy(&from, &without);
    for name in ["last", "best"] {
        fs::remove_file(without.join(name)).unwrap();
    }
    for copied in [followed, without] {
        run(&copied, &epochs(4), &sources(7), &mut Toy::new(), never).unwrap();
        assert_eq!(result(&whole), result(&copied));
        assert_eq!(names(&copied.join("checkpoints")), names(&whole.join("checkpoints")));
    }
}

#[test]
fn somebodys_own_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, moved) = (dir.path().join("whole"), dir.path().join("moved"));
    run(&whole, &epochs(2), &sources(7), &mut Toy::new(), never).unwrap();
    run(&moved, &epochs(2), &sources(7), &mut Toy::new(), |step| step == 4).unwrap();
    fs::rename(moved.join("checkpoints/4"), dir.path().join("elsewhere")).unwrap();
    fs::remove_file(moved.join("last")).unwrap();
    symlink(dir.path().join("elsewhere"), moved.join("last")).unwrap();
    run(&moved, &epochs(2), &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&whole), result(&moved));
    assert_eq!(linked(&moved, "last"), 6);
}

/// Back to an older checkpoint, and on from there with another length: the checkpoints of the first time are of other
/// weights.
#[test]
fn what_was_gone_back_from_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, back) = (dir.path().join("whole"), dir.path().join("back"));
    let all = |length| Settings { keep: 100, checkpoint_minutes: 0.0, ..epochs(length) };
    run(&whole, &all(4), &sources(7), &mut Toy::new(), |step| step == 5).unwrap();
    run(&whole, &all(3), &sources(7), &mut Toy::new(), never).unwrap();
    run(&back, &all(4), &sources(7), &mut Toy::new(), never).unwrap();
    let first = fs::read(back.join("checkpoints/9/model.safetensors")).unwrap();
    copy(&back.join("checkpoints/5"), &dir.path().join("elsewhere"));
    fs::remove_file(back.join("last")).unwrap();
    symlink(dir.path().join("elsewhere"), back.join("last")).unwrap();
    run(&back, &all(3), &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&whole), result(&back));
    assert_ne!(fs::read(back.join("checkpoints/9/model.safetensors")).unwrap(), first);
    // none is left that would be taken for a newer one of this run
    assert_eq!(linked(&back, "last"), 9);
    assert!(!back.join("checkpoints/10").exists() && !back.join("checkpoints/12").exists());
}

#[test]
fn a_link_of_ones_own_to_a_checkpoint_of_the_run_counts_as_that_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { keep: 100, checkpoint_minutes: 0.0, ..epochs(2) };
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 5).unwrap();
    for target in [dir.path().join("checkpoints/2"), "./checkpoints/2".into()] {
        fs::remove_file(dir.path().join("last")).unwrap();
        symlink(target, dir.path().join("last")).unwrap();
        let folder = RunFolder::open(dir.path()).unwrap();
        assert_eq!(folder.notes(), [FolderNote::Repaired { named: Some(2), step: 5 }]);
        assert_eq!(linked(dir.path(), "last"), 5);
    }
}

/// Whoever read `last` or `best` a moment ago still finds what it stood for.
#[test]
fn what_the_names_stood_for_stays_until_the_next_save() {
    let dir = tempfile::tempdir().unwrap();
    let (mut before, mut saves) = (Vec::new(), 0);
    let look = |event: &Event| {
        if let Event::Saved { .. } = event {
            saves += 1;
            assert!(before.iter().all(|place: &std::path::PathBuf| place.join("model.safetensors").is_file()));
            // there is no best model in the first epoch
            let there = ["last", "best"].into_iter().filter(|name| dir.path().join(name).exists());
            before = there.map(|name| dir.path().join(link(dir.path(), name))).collect();
            assert!(names(&dir.path().join("checkpoints")).len() <= 4);
        }
    };
    let settings = Settings { checkpoint_minutes: 0.0, ..epochs(3) };
    watched(dir.path(), &settings, &without_validation(), &mut Toy::new(), never, look).unwrap();
    assert!(saves > 9, "{saves}");
    assert_eq!(names(&dir.path().join("checkpoints")).len(), 1);
}

#[test]
fn a_newer_versions_folder_is_refused_before_anything_is_put_right() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &epochs(2), &sources(7), &mut Toy::new(), |step| step == 4).unwrap();
    fs::write(dir.path().join("checkpoints/4/state.json"), r#"{"format":9}"#).unwrap();
    fs::remove_file(dir.path().join("last")).unwrap();
    fs::create_dir(dir.path().join("checkpoints/7.new")).unwrap();
    let before = [names(dir.path()), names(&dir.path().join("checkpoints"))];
    let error = RunFolder::open(dir.path()).unwrap_err();
    assert!(matches!(error, FolderError::Newer { format: 9, .. }), "{error}");
    assert_eq!([names(dir.path()), names(&dir.path().join("checkpoints"))], before);
}

/// No text of `state.json` ends in a panic.
#[test]
fn a_position_of_any_numbers_is_refused_with_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    run(&from, &epochs(3), &sources(7), &mut Toy::new(), |step| step == 4).unwrap();
    let text = fs::read_to_string(from.join("last/state.json")).unwrap();
    let (value, position): (serde_json::Value, State) =
        (serde_json::from_str(&text).unwrap(), serde_json::from_str(&text).unwrap());
    let numbers =
        ["0", "1", "5", "4294967296", "9223372036854775808", "18446744073709551615", "1e300", "-1", "null", "1e999"];
    let keys = ["images", "step", "epoch", "step_in_epoch", "log_lines", "epoch_loss", "best", "format"];
    for key in keys {
        for number in numbers {
            let place = dir.path().join(format!("{key} {number}"));
            copy(&from, &place);
            let mut changed = value.clone();
            // as text: readers of JSON have no type for some of these
            changed[key] = "NUMBER".into();
            fs::write(place.join("checkpoints/4/state.json"), changed.to_string().replace("\"NUMBER\"", number))
                .unwrap();
            let told = match RunFolder::open(&place).map(|folder| folder.state().unwrap().unwrap()) {
                Err(error) => error.to_string(),
                Ok(state) if state == position => continue,
                // the run's own word, which nothing else says
                Ok(_) if matches!(key, "log_lines" | "epoch_loss" | "format" | "best") => {
                    assert_eq!(
                        run(&place, &epochs(3), &sources(7), &mut Toy::new(), never).unwrap(),
                        Outcome::Finished
                    );
                    continue;
                }
                Ok(_) => stopped(&place, &epochs(3)).to_string(),
            };
            assert!(told.contains("state.json") || told.contains("steps"), "{key} {number}: {told}");
        }
    }
}
