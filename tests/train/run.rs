//! The training loop on a toy model: its log, its checkpoints, its end.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use sam2unet::checkpoint::WeightFile;
use sam2unet::data::MultiScale;
use sam2unet::train::{Control, Event, Outcome, Plan, RunFolder, Settings, Sources, cosine, train};

use crate::support::run_log::log;
use crate::support::shared::shared;
use crate::support::toy::{Noise, Toy, lagging, never, result, run, settings, sources, watched};

#[test]
fn a_run_logs_each_step_once_validates_each_epoch_and_learns() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(4), ..settings() };
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
fn losses_read_late_are_logged_as_others_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // twenty steps in an epoch; the gradients of several batches are added up by the host, which waits for them anyway
    let settings = Settings { batch_size: 1, epochs: Some(2), ..settings() };
    let (mut learner, mut late) = (Toy::new(), lagging());
    run(&path("each"), &settings, &sources(20), &mut learner, never).unwrap();
    run(&path("late"), &settings, &sources(20), &mut late, never).unwrap();
    // after sixteen steps, and at the end of an epoch
    assert_eq!((learner.asked, late.asked), (40, 4));
    assert_eq!(result(&path("each")), result(&path("late")));
    // stopped, which shows at the next step, and resumed
    let outcome = run(&path("stopped"), &settings, &sources(20), &mut lagging(), |step| step == 13).unwrap();
    assert_eq!(outcome, Outcome::Stopped { step: 16 });
    run(&path("stopped"), &settings, &sources(20), &mut lagging(), never).unwrap();
    assert_eq!(result(&path("each")), result(&path("stopped")));
}

#[test]
fn without_validation_best_is_the_epoch_of_lowest_loss() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(3), ..settings() };
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
        let settings = Settings { batch_size: batch, accumulate, epochs: Some(2), augment: false, ..settings() };
        run(&path, &settings, &sources(7), &mut Toy::new(), never).unwrap();
        let weights = WeightFile::open(&path.join("last/model.safetensors")).unwrap().values("weight").unwrap();
        (weights, log(&path).len())
    };
    // 7 images: one step of 6 and one of 1, whether in one batch or in batches of 4 and 2
    let (large, steps) = end("large", 6, 1);
    let (small, other) = end("small", 2, 3);
    assert_eq!(steps, other);
    assert_eq!((large.len(), small.len()), (3, 3));
    for (a, b) in large.iter().zip(&small) {
        assert!((a - b).abs() < 1e-5, "{large:?} {small:?}");
    }
}

/// However many batches make a step: the one learnt from, and those that are being prepared.
#[test]
fn a_step_holds_one_of_its_batches_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { batch_size: 2, accumulate: 20, epochs: Some(1), ..settings() };
    let set = Noise::new(1, 40);
    let mut learner = Toy::new();
    learner.counted = Some(set.clone());
    run(dir.path(), &settings, &Sources::of(set, None), &mut learner, never).unwrap();
    assert_eq!(learner.loaded.len(), 20);
    for (before, asked) in learner.loaded.iter().enumerate() {
        assert!(*asked <= 2 * (before + 3), "{asked} images were read for batch {}", before + 1);
    }
}

/// A save that is asked for is made after the step, and changes nothing of the run.
#[test]
fn a_run_saves_when_asked_and_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = Settings { epochs: Some(3), ..settings() };
    run(&one, &settings, &sources(7), &mut Toy::new(), never).unwrap();
    let (save, mut saved) = (AtomicBool::new(false), Vec::new());
    let mut observer = |event: &Event| match event {
        // in the middle of an epoch, and in a validation
        Event::Step { step: 2, .. } | Event::Validating { done: 2, .. } => save.store(true, Ordering::Relaxed),
        Event::Saved { step, .. } => saved.push(*step),
        _ => {}
    };
    let mut folder = RunFolder::create(&two, &settings).unwrap();
    let control = Control { save: Some(&save), ..Control::default() };
    let outcome = train(&settings, &sources(7), &mut folder, &mut Toy::new(), control, &mut observer).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!(saved, [2, 3, 3, 6, 6, 9, 9]);
    drop(folder);
    assert_eq!(result(&one), result(&two));
}

/// Lengths near the largest number there is.
#[test]
fn a_run_without_an_end_is_stopped_and_saved() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(u64::MAX >> 1), steps: Some(u64::MAX >> 1), ..settings() };
    let mut said = String::new();
    let look = |event: &Event| {
        if let Event::Ready(overview) = event {
            said = overview.to_string();
        }
    };
    let outcome = watched(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 4, look).unwrap();
    assert_eq!(outcome, Outcome::Stopped { step: 4 });
    assert!(said.contains("9223372036854775807 steps"), "{said}");
}

#[test]
fn both_scales_make_an_update_each() {
    let settings = Settings { multi_scale: MultiScale::Both, epochs: Some(1), ..settings() };
    assert_eq!(Plan::new(&settings, 7).steps_per_epoch, 6);
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap();
    assert_eq!(log(dir.path()).iter().filter(|record| record.get("step").is_some()).count(), 6);
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
