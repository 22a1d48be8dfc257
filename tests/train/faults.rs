//! Training that goes wrong: what is kept, and what is said.

use std::fs;
use std::path::Path;

use sam2unet::train::{Event, FolderError, Learner, Outcome, RunFolder, Settings, Sources, TrainError};

use crate::support::run_log::log;
use crate::support::toy::{Noise, Toy, lagging, never, result, run, settings, sources, watched};

#[test]
fn a_loss_that_is_no_number_stops_with_its_cause_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(3), shuffle: false, checkpoint_minutes: 0.0, ..settings() };
    let mut learner = Toy::new();
    learner.breaks_after = Some(4);
    let error = run(dir.path(), &settings, &sources(7), &mut learner, never).unwrap_err();
    let TrainError::Loss { epoch: 2, step: 5, saved: Some(4), .. } = &error else { panic!("{error:?}") };
    let message = error.to_string();
    for part in ["loss is NaN", "epoch 2, step 5", "noise-3, noise-4, noise-5", "3.75", "checkpoint of step 4"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let state = RunFolder::open(dir.path()).unwrap().state().unwrap().unwrap();
    assert_eq!(state.step, 4);
    // and it can be resumed
    assert_eq!(run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap(), Outcome::Finished);
}

#[test]
fn a_loss_that_is_no_number_is_found_late_and_named_before_anything_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(2), shuffle: false, ..settings() };
    let mut learner = lagging();
    learner.breaks_after = Some(23);
    let error = run(dir.path(), &settings, &sources(60), &mut learner, never).unwrap_err();
    let TrainError::Loss { epoch: 2, step: 24, saved: Some(20), names, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*names, ["noise-9", "noise-10", "noise-11"]);
    // it went on for a while
    assert_eq!(learner.optimiser_steps(), 36);
    assert_eq!(RunFolder::open(dir.path()).unwrap().state().unwrap().unwrap().step, 20);
    let logged = log(dir.path()).iter().filter_map(|record| record["step"].as_u64()).max();
    assert_eq!(logged, Some(23));
    // a checkpoint that is due in between does not hide it
    let settings = Settings { checkpoint_minutes: 0.0, ..settings };
    let (other, mut learner) = (dir.path().join("other"), lagging());
    learner.breaks_after = Some(4);
    let error = run(&other, &settings, &sources(60), &mut learner, never).unwrap_err();
    assert!(matches!(error, TrainError::Loss { step: 5, saved: Some(4), .. }), "{error:?}");
    // and what was saved goes on
    assert_eq!(run(dir.path(), &settings, &sources(60), &mut lagging(), never).unwrap(), Outcome::Finished);
    let last = log(dir.path()).iter().filter_map(|record| record["step"].as_u64()).collect::<Vec<_>>();
    assert_eq!(last, (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_weight_that_is_no_number_is_never_saved() {
    let dir = tempfile::tempdir().unwrap();
    // a learning rate that overflows the weights at the first step, whose own loss is fine
    let settings = Settings { epochs: Some(1), lr: 1e300, checkpoint_minutes: 0.0, ..settings() };
    let error = run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap_err();
    assert!(error.to_string().contains("not finite any more"), "{error}");
    assert!(!dir.path().join("last").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(3), ..settings() };
    let block = dir.path().join("checkpoints/6.new");
    let look = |event: &Event| {
        if matches!(event, Event::Step { step: 4, .. }) {
            fs::write(&block, "in the way").unwrap();
        }
    };
    let error = watched(dir.path(), &settings, &sources(7), &mut Toy::new(), never, look).unwrap_err();
    assert!(matches!(error, TrainError::Folder { saved: Some(3), .. }), "{error:?}");
    assert!(error.to_string().contains("checkpoint of step 3 is kept"), "{error}");
    assert_eq!(fs::read_link(dir.path().join("last")).unwrap(), Path::new("checkpoints/3"));
    fs::remove_file(&block).unwrap();
    assert_eq!(run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap(), Outcome::Finished);
    assert_eq!(log(dir.path()).len(), 9 + 3);
}

/// A step's first batches change the batch norms' statistics; a later one that cannot be read must not
/// leave them in the checkpoint.
#[test]
fn a_file_lost_within_a_step_loses_nothing_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = Settings { batch_size: 1, accumulate: 3, epochs: Some(3), shuffle: false, ..settings() };
    run(&one, &settings, &sources(8), &mut Toy::new(), never).unwrap();
    let broken = Sources::of(Noise::without(1, 8, 5), Some(Noise::new(2, 5)));
    let error = run(&two, &settings, &broken, &mut Toy::new(), never).unwrap_err();
    assert!(matches!(error, TrainError::Data(_)), "{error:?}");
    assert_eq!(RunFolder::open(&two).unwrap().state().unwrap().unwrap().step, 1);
    run(&two, &settings, &sources(8), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
    // a device whose losses are read late, and the second batch of the last step of an epoch
    let (late, broken) = (dir.path().join("late"), Sources::of(Noise::without(1, 8, 7), Some(Noise::new(2, 5))));
    run(&late, &settings, &broken, &mut lagging(), never).unwrap_err();
    assert_eq!(RunFolder::open(&late).unwrap().state().unwrap().unwrap().step, 2);
    run(&late, &settings, &sources(8), &mut lagging(), never).unwrap();
    assert_eq!(result(&one), result(&late));
}

#[test]
fn an_empty_set_is_refused_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(1), ..settings() };
    for (name, sources) in
        [("training", sources(0)), ("validation", Sources::of(Noise::new(1, 3), Some(Noise::new(2, 0))))]
    {
        let error = run(&dir.path().join(name), &settings, &sources, &mut Toy::new(), never).unwrap_err();
        assert_eq!(error.to_string(), format!("the {name} set holds no images"));
    }
}

#[test]
fn a_file_lost_in_a_validation_keeps_the_epochs_steps() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = Settings { epochs: Some(2), ..settings() };
    run(&one, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    let broken = Sources::of(Noise::new(1, 7), Some(Noise::without(2, 5, 3)));
    run(&two, &settings, &broken, &mut Toy::new(), never).unwrap_err();
    assert_eq!(RunFolder::open(&two).unwrap().state().unwrap().unwrap().step, 3);
    run(&two, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
}

/// After `last` was turned the new checkpoint is the one that is kept, whatever fails next.
#[cfg(unix)]
#[test]
fn an_error_names_the_checkpoint_that_last_stands_for() {
    let dir = tempfile::tempdir().unwrap();
    // each epoch is better than the one before, so that `best` is turned each time
    let settings = Settings { epochs: Some(3), ..settings() };
    let sources = Sources::of(Noise::new(1, 7), None);
    let look = |event: &Event| {
        if matches!(event, Event::Step { step: 4, .. }) {
            // neither a link nor a file can take the place of this
            fs::remove_file(dir.path().join("best")).unwrap();
            fs::create_dir_all(dir.path().join("best.txt/full")).unwrap();
            fs::create_dir_all(dir.path().join(".best.new/full")).unwrap();
        }
    };
    let error = watched(dir.path(), &settings, &sources, &mut Toy::new(), never, look).unwrap_err();
    let TrainError::Folder { source: FolderError::Read { .. } | FolderError::Write { .. }, saved: Some(6) } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(fs::read_link(dir.path().join("last")).unwrap(), Path::new("checkpoints/6"));
    for name in ["best.txt", ".best.new"] {
        fs::remove_dir_all(dir.path().join(name)).unwrap();
    }
    assert_eq!(run(dir.path(), &settings, &sources, &mut Toy::new(), never).unwrap(), Outcome::Finished);
    let whole = dir.path().join("whole");
    run(&whole, &settings, &sources, &mut Toy::new(), never).unwrap();
    assert_eq!(result(&whole), result(dir.path()));
}

/// A checkpoint that is named no more and cannot be removed, as on file systems that keep open files, is no error.
#[cfg(unix)]
#[test]
fn an_older_checkpoint_that_cannot_be_removed_is_no_error() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(3), ..settings() };
    let writable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let held = dir.path().join("checkpoints/3");
    let sources = Sources::of(Noise::new(1, 7), None);
    let look = |event: &Event| {
        if matches!(event, Event::Step { step: 4, .. }) {
            fs::create_dir(held.join("held")).unwrap();
            fs::write(held.join("held/.nfs0001"), "").unwrap();
            writable(&held.join("held"), 0o555);
        }
    };
    assert_eq!(watched(dir.path(), &settings, &sources, &mut Toy::new(), never, look).unwrap(), Outcome::Finished);
    assert!(!held.exists());
    let names = |ending: &str| {
        let all = fs::read_dir(dir.path().join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_str().unwrap().ends_with(ending)).collect::<Vec<_>>()
    };
    // root removes it all the same
    for hidden in names(".discarded") {
        writable(&hidden.join("held"), 0o755);
    }
    // tried again
    drop(RunFolder::open(dir.path()).unwrap());
    assert_eq!(names(".discarded").len(), 0);
}

/// A file whose writes end at a full disk.
#[cfg(target_os = "linux")]
#[test]
fn curves_and_pictures_appear_whole_or_not_at_all_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(1), ..settings() };
    let look = |event: &Event| {
        if matches!(event, Event::Reporting) {
            std::os::unix::fs::symlink("/dev/full", dir.path().join("curves.new")).unwrap();
        }
    };
    let error = watched(dir.path(), &settings, &sources(7), &mut Toy::new(), never, look).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("trained and saved") && message.contains("curves.svg"), "{message}");
    assert!(message.contains("free some space"), "{message}");
    for name in ["curves.svg", "curves.new", "samples.png"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    assert_eq!(run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap(), Outcome::Finished);
    assert!(fs::read_to_string(dir.path().join("curves.svg")).unwrap().ends_with("</svg>\n"));
}
