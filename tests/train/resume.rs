//! A run that is stopped and resumed.

use std::fs;

use sam2unet::train::{Event, Outcome, Settings, Sources};

use crate::support::run_log::log;
use crate::support::toy::{Noise, Toy, never, result, run, settings, sources, watched};

#[test]
fn a_resume_across_an_epochs_border_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let of = |steps| Settings { epochs: Some(4), steps: Some(steps), ..settings() };
    run(&one, &of(10), &sources(10), &mut Toy::new(), never).unwrap();
    run(&two, &of(5), &sources(10), &mut Toy::new(), never).unwrap();
    assert_ne!(result(&one), result(&two));
    // the shorter run ended inside its second epoch, with a validation that the longer one does not have
    assert_eq!(log(&two).len(), 5 + 2);
    run(&two, &of(10), &sources(10), &mut Toy::new(), never).unwrap();
    assert_eq!(result(&one), result(&two));
}

#[test]
fn a_stop_during_validation_validates_after_the_resume() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let settings = Settings { epochs: Some(2), ..settings() };
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
    let settings = Settings { epochs: Some(1), ..settings() };
    run(dir.path(), &settings, &sources(4), &mut Toy::new(), never).unwrap();
    let before = result(dir.path());
    let mut events = 0;
    let outcome = watched(dir.path(), &settings, &sources(4), &mut Toy::new(), never, |_| events += 1).unwrap();
    assert_eq!((outcome, events), (Outcome::AlreadyFinished { step: 2 }, 0));
    assert_eq!(before, result(dir.path()));
}

#[test]
fn a_changed_folder_of_images_is_no_exact_resume() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(2), ..settings() };
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
    let settings = Settings { epochs: Some(2), ..settings() };
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    let renamed = Sources::of(Noise::named(1, 7, "other"), None);
    let message = run(dir.path(), &settings, &renamed, &mut Toy::new(), never).unwrap_err().to_string();
    assert!(message.contains("state.json") && message.contains("other names"), "{message}");
}

#[test]
fn a_log_that_lost_lines_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(2), ..settings() };
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
fn a_changed_validation_set_is_no_exact_resume() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: Some(2), ..settings() };
    run(dir.path(), &settings, &sources(7), &mut Toy::new(), |step| step == 2).unwrap();
    let message = |validation| {
        let sources = Sources::of(Noise::new(1, 7), validation);
        run(dir.path(), &settings, &sources, &mut Toy::new(), never).unwrap_err().to_string()
    };
    let renamed = message(Some(Noise::named(2, 5, "other") as _));
    assert!(renamed.contains("the validation images have other names"), "{renamed}");
    let fewer = message(Some(Noise::new(2, 4) as _));
    assert!(fewer.contains("the validation images have other names"), "{fewer}");
    let none = message(None);
    assert!(none.contains("there was a validation"), "{none}");
    assert_eq!(run(dir.path(), &settings, &sources(7), &mut Toy::new(), never).unwrap(), Outcome::Finished);
}
