//! The training loop on a toy model: its log, its checkpoints, its ends, good and bad.

use crate::support::shared::shared;
use crate::support::toy::{Noise, Toy, log, result, run, settings, watched};
use std::fs;
use std::path::Path;

use sam2unet::checkpoint::WeightFile;
use sam2unet::data::{Grey, MultiScale, Rgb, write_png};
use sam2unet::train::{Choices, Event, Learner, Outcome, Plan, RunFolder, Settings, Sources, TrainError, cosine};

fn sources(images: usize) -> Sources {
    Sources::of(Noise::new(1, images), Some(Noise::new(2, 5)))
}

fn small(choices: Choices) -> Settings {
    settings(Choices { batch_size: Some(3), ..choices })
}

fn never(_: u64) -> bool {
    false
}

#[test]
fn a_run_logs_each_step_once_validates_each_epoch_and_learns() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(4), ..Choices::default() });
    let outcome = run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(outcome, Outcome::Finished);

    let log = log(dir.path());
    let steps: Vec<_> = log.iter().filter(|record| record.get("step").is_some()).collect();
    let numbers: Vec<_> = steps.iter().map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    for record in &steps {
        let keys: Vec<_> = record.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["epoch", "loss", "lr", "seconds", "step"]);
        let epoch = record["epoch"].as_u64().unwrap();
        assert_eq!(epoch, (record["step"].as_u64().unwrap() - 1) / 3 + 1);
        assert_eq!(record["lr"].as_f64().unwrap(), cosine(0.05, 4, epoch - 1));
    }
    let validations: Vec<_> = log.iter().filter(|record| record.get("validation").is_some()).collect();
    let epochs: Vec<_> = validations.iter().map(|record| record["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3, 4]);
    assert!(validations.iter().all(|record| record["validation"].as_object().unwrap().len() == 18));
    let loss = |record: &serde_json::Value| record["loss"].as_f64().unwrap();
    assert!(loss(steps[11]) < 0.9 * loss(steps[0]), "{} {}", loss(steps[0]), loss(steps[11]));

    let best = |record: &&serde_json::Value| record["validation"]["sample_biiou"].as_f64().unwrap();
    let highest = validations.iter().map(best).fold(0.0, f64::max);
    let state = RunFolder::open(dir.path()).unwrap().state().unwrap().unwrap();
    assert_eq!(state.best.unwrap().score, highest);
    let file = WeightFile::open(&dir.path().join("best/model.safetensors")).unwrap();
    assert_eq!(file.metadata()["step"], state.best.unwrap().step.to_string());
    for name in ["config.toml", "curves.svg", "samples.png", "last/model.safetensors", "last/optimiser.safetensors"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn a_resume_across_an_epochs_border_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let choices = |steps| Choices { epochs: Some(4), steps: Some(steps), ..Choices::default() };
    run(&one, &small(choices(10)), &sources(10), &mut Toy::new(), never).unwrap();
    run(&two, &small(choices(5)), &sources(10), &mut Toy::new(), never).unwrap();
    assert_ne!(result(&one), result(&two));
    // the shorter run ended inside its second epoch, with a validation that the longer one does not have
    assert_eq!(log(&two).len(), 5 + 2);
    run(&two, &small(choices(10)), &sources(10), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
    assert!(!two.join("best.epoch").exists() || one.join("best.epoch").exists());
}

#[test]
fn a_stop_during_validation_validates_after_the_resume() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = small(Choices { epochs: Some(2), ..Choices::default() });
    run(&one, &settings, &sources(6), &mut Toy::new(), never).unwrap();
    let outcome = run(&two, &settings, &sources(6), &mut Toy::new(), |step| step == 2).unwrap();
    assert_eq!(outcome, Outcome::Stopped { step: 2 });
    assert!(!two.join("best").exists());
    run(&two, &settings, &sources(6), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
}

#[test]
fn a_finished_run_says_so_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(1), ..Choices::default() });
    run(dir.path(), &settings, &sources(4), &mut Toy::new(), never).unwrap();
    let before = result(dir.path());
    let mut events = 0;
    let outcome = watched(dir.path(), &settings, &sources(4), &mut Toy::new(), never, |_| events += 1).unwrap();
    assert_eq!((outcome, events), (Outcome::AlreadyFinished { step: 2 }, 0));
    assert_eq!(before, result(dir.path()));
}

#[test]
fn a_loss_that_is_no_number_stops_with_its_cause_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        small(Choices { epochs: Some(3), shuffle: Some(false), checkpoint_minutes: Some(0.0), ..Choices::default() });
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

/// A learner that is asked for its losses late.
fn lagging() -> Toy {
    let mut learner = Toy::new();
    learner.lags = true;
    learner
}

#[test]
fn losses_read_late_are_logged_as_others_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // twenty steps in an epoch
    let settings =
        settings(Choices { batch_size: Some(1), accumulate: Some(2), epochs: Some(2), ..Choices::default() });
    let (mut learner, mut late) = (Toy::new(), lagging());
    run(&path("each"), &settings, &sources(40), &mut learner, never).unwrap();
    run(&path("late"), &settings, &sources(40), &mut late, never).unwrap();
    // after sixteen steps, and at the end of an epoch
    assert_eq!((learner.asked, late.asked), (40, 4));
    assert_eq!(result(&path("each")), result(&path("late")));
    // stopped, which shows at the next step, and resumed
    let outcome = run(&path("stopped"), &settings, &sources(40), &mut lagging(), |step| step == 13).unwrap();
    assert_eq!(outcome, Outcome::Stopped { step: 16 });
    run(&path("stopped"), &settings, &sources(40), &mut lagging(), never).unwrap();
    assert_eq!(result(&path("each")), result(&path("stopped")));
}

#[test]
fn a_loss_that_is_no_number_is_found_late_and_named_before_anything_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(2), shuffle: Some(false), ..Choices::default() });
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
    let settings =
        small(Choices { epochs: Some(1), lr: Some(1e300), checkpoint_minutes: Some(0.0), ..Choices::default() });
    let error = run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap_err();
    assert!(error.to_string().contains("not finite any more"), "{error}");
    assert!(!dir.path().join("last").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(3), ..Choices::default() });
    let block = dir.path().join("last.new");
    let look = |event: &Event| {
        if matches!(event, Event::Step { step: 4, .. }) {
            fs::write(&block, "in the way").unwrap();
        }
    };
    let error = watched(dir.path(), &settings, &sources(7), &mut Toy::new(), never, look).unwrap_err();
    assert!(matches!(error, TrainError::Folder { saved: Some(3), .. }), "{error:?}");
    assert!(error.to_string().contains("checkpoint of step 3 is kept"), "{error}");
    fs::remove_file(&block).unwrap();
    assert_eq!(run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap(), Outcome::Finished);
    assert_eq!(log(dir.path()).len(), 9 + 3);
}

#[test]
fn without_validation_best_is_the_epoch_of_lowest_loss() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(3), ..Choices::default() });
    let mut losses = Vec::new();
    let look = |event: &Event| {
        if let Event::Epoch { loss, validation, best, .. } = event {
            assert!(validation.is_none());
            losses.push((*loss, *best));
        }
    };
    let sources = Sources::of(Noise::new(1, 7), None);
    watched(dir.path(), &settings, &sources, &mut Toy::new(), never, look).unwrap();
    let lowest = losses.iter().map(|(loss, _)| *loss).fold(f64::INFINITY, f64::min);
    let state = RunFolder::open(dir.path()).unwrap().state().unwrap().unwrap();
    assert_eq!((losses.len(), state.best.unwrap().score), (3, lowest));
    assert!(losses[0].1);
    let (plain, logged) = (log(dir.path()), losses[0].0);
    let first: f64 = plain[..3].iter().map(|record| record["loss"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((first - logged).abs() < 1e-12);
}

#[test]
fn accumulation_takes_the_step_of_the_large_batch() {
    let dir = tempfile::tempdir().unwrap();
    let end = |name: &str, batch, accumulate| {
        let path = dir.path().join(name);
        let choices = Choices {
            batch_size: Some(batch),
            accumulate: Some(accumulate),
            epochs: Some(2),
            augment: Some(false),
            ..Choices::default()
        };
        run(&path, &settings(choices), &sources(7), &mut Toy::new(), never).unwrap();
        let weights = WeightFile::open(&path.join("last/model.safetensors")).unwrap().values("weight").unwrap();
        (weights, log(&path).len())
    };
    // 7 images: one step of 6 and one of 1, whether in one batch or in batches of 4 and 2
    let (large, steps) = end("large", 6, 1);
    let (small, other) = end("small", 2, 3);
    assert_eq!(steps, other);
    for (a, b) in large.iter().zip(&small) {
        assert!((a - b).abs() < 1e-5, "{large:?} {small:?}");
    }
}

#[test]
fn a_changed_folder_of_images_is_no_exact_resume() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(2), ..Choices::default() });
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    let message = run(dir.path(), &settings, &sources(6), &mut Toy::new(), never).unwrap_err().to_string();
    assert!(message.contains("7 images, now there are 6"), "{message}");
    let other = Settings { batch_size: 7, ..settings };
    let message = run(dir.path(), &other, &sources(7), &mut Toy::new(), never).unwrap_err().to_string();
    assert!(message.contains("state.json") && message.contains("config.toml"), "{message}");
}

#[test]
fn a_set_of_other_names_is_no_exact_resume() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(2), ..Choices::default() });
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    let renamed = Sources::of(Noise::named(1, 7, "other"), None);
    let message = run(dir.path(), &settings, &renamed, &mut Toy::new(), never).unwrap_err().to_string();
    assert!(message.contains("state.json") && message.contains("other names"), "{message}");
}

/// A step's first batches change the batch norms' statistics; a later one that cannot be read must not
/// leave them in the checkpoint.
#[test]
fn a_file_lost_within_a_step_loses_nothing_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let choices = Choices { batch_size: Some(1), accumulate: Some(3), epochs: Some(3), ..Choices::default() };
    let settings = settings(Choices { shuffle: Some(false), ..choices });
    run(&one, &settings, &sources(8), &mut Toy::new(), never).unwrap();
    let broken = Sources::of(Noise::without(1, 8, 5), Some(Noise::new(2, 5)));
    let error = run(&two, &settings, &broken, &mut Toy::new(), never).unwrap_err();
    assert!(matches!(error, TrainError::Data(_)), "{error:?}");
    assert_eq!(RunFolder::open(&two).unwrap().state().unwrap().unwrap().step, 1);
    run(&two, &settings, &sources(8), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
}

#[test]
fn a_file_lost_in_a_validation_keeps_the_epochs_steps() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = small(Choices { epochs: Some(2), ..Choices::default() });
    run(&one, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    let broken = Sources::of(Noise::new(1, 7), Some(Noise::without(2, 5, 3)));
    run(&two, &settings, &broken, &mut Toy::new(), never).unwrap_err();
    assert_eq!(RunFolder::open(&two).unwrap().state().unwrap().unwrap().step, 3);
    run(&two, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
}

#[test]
fn a_log_that_lost_lines_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(Choices { epochs: Some(2), ..Choices::default() });
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    fs::write(dir.path().join("log.jsonl"), "").unwrap();
    let mut said = String::new();
    let look = |event: &Event| {
        if let Event::Ready(overview) = event {
            said = overview.to_string();
        }
    };
    watched(dir.path(), &settings, &sources(7), &mut Toy::new(), never, look).unwrap();
    assert!(said.contains("2 earlier lines are gone"), "{said}");
}

#[test]
fn settings_that_would_end_badly_are_refused() {
    let cases = [
        (Choices { checkpoint_minutes: Some(1e30), ..Choices::default() }, "--checkpoint-minutes"),
        (Choices { threads: Some(9_999_999), ..Choices::default() }, "--threads"),
    ];
    for (choices, flag) in cases {
        let message = choices.resolve().unwrap_err().to_string();
        assert!(message.contains(flag), "{message}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::OsStr::from_bytes(b"images\xff");
        let message = Choices { init: Some(path.into()), ..Choices::default() }.resolve().unwrap_err().to_string();
        assert!(message.contains("--init") && message.contains("UTF-8"), "{message}");
    }
}

#[test]
fn both_scales_make_an_update_each() {
    let settings = small(Choices { multi_scale: Some(MultiScale::Both), epochs: Some(1), ..Choices::default() });
    assert_eq!(Plan::new(&settings, 7).steps_per_epoch, 6);
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(log(dir.path()).iter().filter(|record| record.get("step").is_some()).count(), 6);
}

fn picture(path: &Path, width: usize, height: usize) {
    write_png(path, &Rgb { width, height, data: vec![90; width * height * 3] }).unwrap();
}

#[test]
fn bad_folders_are_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let (images, masks) = (dir.path().join("images"), dir.path().join("masks"));
    fs::create_dir_all(&images).unwrap();
    fs::create_dir_all(&masks).unwrap();
    let choices = Choices { images: Some(images.clone()), masks: Some(masks.clone()), ..Choices::default() };
    let settings = choices.resolve().unwrap();
    let refused = || Sources::open(&settings, 2).unwrap_err().to_string();
    assert!(refused().contains("no image files"), "{}", refused());
    for name in ["a", "b"] {
        picture(&images.join(format!("{name}.png")), 20, 10);
    }
    let mask = |name: &str, width| {
        let grey = Grey { width, height: 10, data: vec![255; width * 10] };
        write_png(&masks.join(format!("{name}.png")), &grey).unwrap();
    };
    mask("a", 20);
    assert!(refused().contains("b.png"), "{}", refused());
    mask("b", 19);
    assert!(refused().contains("20x10") && refused().contains("19x10"), "{}", refused());
    mask("b", 20);
    mask("nobody", 20);
    let opened = Sources::open(&settings, 2).unwrap();
    assert_eq!((opened.training.len(), opened.unused_masks), (2, 1));
    let whole = fs::read(images.join("b.png")).unwrap();
    fs::write(images.join("b.png"), &whole[..whole.len() / 2]).unwrap();
    assert!(refused().contains("b.png"), "{}", refused());
}

#[test]
fn the_schedule_is_that_of_the_golden_run() {
    let Some(path) = shared("golden/pico/expected.safetensors") else { return };
    let bytes = fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let rates = tensors.tensor("steps.lr").unwrap();
    let (rates, _) = rates.data().as_chunks::<8>();
    assert_eq!(rates.len(), 5);
    for (epoch, rate) in rates.iter().enumerate() {
        assert_eq!(cosine(1e-3, 5, epoch as u64), f64::from_le_bytes(*rate));
    }
}
