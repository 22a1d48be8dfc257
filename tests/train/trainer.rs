//! Training in a program of one's own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::scenes::scenes;
use sam2unet::data::{Dataset, Synthetic};
use sam2unet::nn::VariantName;
use sam2unet::train::{Event, History, Layer, Note, Outcome, PrepareError, RunError, Settings, Trainer};

fn set(count: usize) -> Arc<dyn Dataset> {
    Arc::new(Synthetic::new(7, count, 64))
}

fn settings() -> Settings {
    Settings { variant: VariantName::Tiny, size: 64, batch_size: 2, steps: Some(4), ..Settings::default() }
}

fn history(run: &Path) -> History {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

fn values(text: &str) -> Layer {
    Layer::given(text.parse().unwrap()).unwrap()
}

/// Stopped and resumed, on other threads, with images that the program gives: the same bytes, and a history of both
/// sessions.
#[test]
fn a_run_with_images_of_ones_own_is_stopped_resumed_and_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let mut steps = Vec::new();
    let look = |event: &Event| {
        if let Event::Step { step, .. } = event {
            steps.push(*step);
        }
    };
    let trained = Trainer::new(settings()).data(set(6), Some(set(2))).out(&whole).on_event(look).run().unwrap();
    assert_eq!((trained.outcome, &trained.folder), (Outcome::Finished, &whole));
    assert_eq!(steps, [1, 2, 3, 4]);
    assert_eq!(trained.best_model(), whole.join("best/model.safetensors"));
    assert!(trained.best_model().is_file());

    let stop = AtomicBool::new(false);
    let look = |event: &Event| {
        if let Event::Step { step: 2, .. } = event {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let command = ["a".to_string(), "b c".to_string()];
    let trainer = Trainer::new(settings()).data(set(6), Some(set(2))).out(&broken).command(command.to_vec());
    let trained = trainer.stop_when(&stop).on_event(look).run().unwrap();
    assert_eq!(trained.outcome, Outcome::Stopped { step: 2 });
    let error = Trainer::resume(&broken).run().unwrap_err();
    assert!(error.to_string().contains("given by a program"), "{error}");
    let trainer = Trainer::resume(&broken).with(values("threads = 1")).data(set(6), Some(set(2)));
    assert_eq!(trainer.run().unwrap().outcome, Outcome::Finished);
    for file in ["last/model.safetensors", "last/optimiser.safetensors", "best/model.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(broken.join(file)).unwrap(), "{file} differs");
    }

    let [first, second] = &history(&broken).sessions[..] else { panic!("{:?}", history(&broken)) };
    assert_eq!((first.command.as_slice(), second.command.len()), (&command[..], 0));
    assert_eq!((first.from_step, first.to_step, first.outcome.as_deref()), (0, Some(2), Some("stopped")));
    assert_eq!((second.from_step, second.to_step, second.outcome.as_deref()), (2, Some(4), Some("finished")));
    assert_eq!((second.threads, second.device.as_str(), second.precision.as_str()), (1, "cpu", "f32"));
    assert_eq!(first.version, env!("CARGO_PKG_VERSION"));
    assert!(!first.processor.is_empty() && !first.instructions.is_empty());
    assert!(first.started.ends_with('Z') && second.started >= first.ended.clone().unwrap());
}

#[test]
fn a_finished_run_is_told_and_not_made_shorter_or_longer_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let one = Settings { steps: Some(1), ..settings() };
    Trainer::new(one.clone()).data(set(2), None).out(&run).run().unwrap();
    let again = || Trainer::resume(&run).data(set(2), None);
    let mut events = 0;
    let trained = again().on_event(|_| events += 1).run().unwrap();
    assert_eq!((trained.outcome, events), (Outcome::AlreadyFinished { step: 1 }, 0));
    let error = again().with(values("epochs = 9")).run().unwrap_err();
    assert!(matches!(error, RunError::Prepare(_)) && error.to_string().contains("`epochs` 9 and `steps` 1"), "{error}");
    assert_eq!(again().with(values("steps = 2\nepochs = 2")).run().unwrap().outcome, Outcome::Finished);
    let error = Trainer::new(one).data(set(2), None).out(&run).run().unwrap_err();
    assert!(error.to_string().contains("holds a run already"), "{error}");
}

/// Asked for in another form than the run has it, and for a device that it was not begun on.
#[test]
fn a_run_goes_on_with_the_values_that_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let one = Settings { steps: Some(1), ..settings() };
    Trainer::new(one.clone()).data(set(2), None).out(&run).run().unwrap();
    let again = |text: &str| Trainer::resume(&run).data(set(2), None).with(values(text)).run();
    // its own length given again is no other length
    let trained = again("variant = 'TINY'\nsize = 64\nsteps = 1\nbatch_size = 2").unwrap();
    assert_eq!(trained.outcome, Outcome::AlreadyFinished { step: 1 });
    let message = again("seed = 1\nsteps = 2").unwrap_err().to_string();
    assert!(message.contains("seed = 1 (the run has 0)"), "{message}");
    assert_eq!(fs::read_to_string(run.join("config.toml")).unwrap(), one.to_toml().unwrap());
}

/// Folders are read before the model is made.
#[test]
fn reading_the_images_is_told_as_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    scenes(dir.path(), 5, 3, 64);
    let [images, masks] = ["images", "masks"].map(|name| Some(dir.path().join(name)));
    let settings = Settings { images, masks, steps: Some(1), ..settings() };
    let mut told = Vec::new();
    let look = |event: &Event| match event {
        Event::Checking { done, of } => told.push((*done, *of)),
        Event::Ready(_) => told.push((0, 0)),
        _ => {}
    };
    Trainer::new(settings).out(dir.path().join("run")).on_event(look).run().unwrap();
    assert_eq!(told, [(1, 3), (2, 3), (3, 3), (0, 0)]);
}

/// A file that a run starts from may be gone or elsewhere when it goes on.
#[test]
fn a_moved_file_to_start_from_is_told_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let one = Settings { steps: Some(1), ..settings() };
    Trainer::new(one.clone()).data(set(2), None).out(&first).run().unwrap();
    let start = Settings { init: Some(first.join("last/model.safetensors")), ..one };
    Trainer::new(start).data(set(2), None).out(&second).run().unwrap();
    let mut notes = Vec::new();
    let look = |event: &Event| {
        if let Event::Note(note) = event {
            notes.push(note.to_string());
        }
    };
    let more = values("init = '/nowhere/model.safetensors'\nsteps = 2");
    let trained = Trainer::resume(&second).data(set(2), None).with(more).on_event(look).run().unwrap();
    assert_eq!(trained.outcome, Outcome::Finished);
    assert!(notes.iter().any(|note| note.starts_with("/nowhere/model.safetensors was not read")), "{notes:?}");
    assert!(fs::read_to_string(second.join("config.toml")).unwrap().contains("/nowhere/model.safetensors"));
}

/// Hundreds of gigabytes, and nothing is built or written.
#[cfg(target_os = "linux")]
#[test]
fn a_run_for_which_there_is_no_memory_is_refused_unless_it_is_wanted_anyway() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let large = Settings { size: 1024, batch_size: 65_536, ..settings() };
    let trainer = || Trainer::new(large.clone()).data(set(65_536), None).out(&run);
    let error = trainer().run().unwrap_err();
    assert!(matches!(error, RunError::Prepare(PrepareError::Memory(_))), "{error:?}");
    let message = error.to_string();
    assert!(
        ["GB of memory", "`batch_size`", "`memory` = small"].iter().all(|part| message.contains(part)),
        "{message}"
    );
    assert!(!run.exists());
    let mut notes = Vec::new();
    let look = |event: &Event| {
        if let Event::Note(note @ Note::Memory(_)) = event {
            notes.push(note.to_string());
        }
    };
    // stopped before it takes the memory
    let stop = AtomicBool::new(true);
    let trained = trainer().any_memory().stop_when(&stop).on_event(look).run().unwrap();
    assert_eq!((trained.outcome, notes.len()), (Outcome::Stopped { step: 0 }, 1));
}

#[test]
fn a_set_of_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = |training: Arc<dyn Dataset>, validation| {
        let trainer = Trainer::new(settings()).data(training, validation).out(dir.path().join("run"));
        trainer.run().unwrap_err().to_string()
    };
    assert_eq!(error(set(0), None), "the training set holds no images");
    assert_eq!(error(set(1), Some(set(0))), "the validation set holds no images");
    assert!(!dir.path().join("run").exists());
    let message = error(Arc::new(Synthetic::new(7, 2, 0)), None);
    assert!(message.contains("scene-0000") && message.contains("0x0 pixels"), "{message}");
}

#[test]
fn a_history_that_cannot_be_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    Trainer::new(Settings { steps: Some(1), ..settings() }).data(set(2), None).out(&run).run().unwrap();
    fs::write(run.join("run.json"), "{").unwrap();
    let longer = || Trainer::resume(&run).data(set(2), None).with(values("steps = 2")).run();
    let message = longer().unwrap_err().to_string();
    assert!(message.contains("run.json") && message.contains("remove it"), "{message}");
    fs::remove_file(run.join("run.json")).unwrap();
    assert_eq!(longer().unwrap().outcome, Outcome::Finished);
    assert_eq!(history(&run).sessions.len(), 1);
}

/// Up to then a program may say that nothing was written.
#[test]
fn it_is_told_before_a_new_runs_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let told = |trainer: Trainer<'_>, there_before: bool| {
        let mut told = Vec::new();
        let look = |event: &Event| match event {
            Event::Creating => {
                assert_eq!(folder.exists(), there_before);
                told.push("creating");
            }
            Event::Ready(_) => told.push("ready"),
            _ => {}
        };
        trainer.data(set(2), None).on_event(look).run().unwrap();
        told
    };
    let one = Settings { steps: Some(1), ..settings() };
    assert_eq!(told(Trainer::new(one).out(&folder), false), ["creating", "ready"]);
    assert_eq!(told(Trainer::resume(&folder).with(values("steps = 2")), true), ["ready"]);
}
