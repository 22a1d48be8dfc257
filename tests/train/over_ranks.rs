//! Whole runs over several ranks, from the reading of the images on: threads are ranks here.

use crate::support::pictures::Folders;
use crate::support::ranks::with_ranks;
use crate::support::toy::result;
use sam2unet::group::Group;
use sam2unet::nn::VariantName;
use sam2unet::train::{Event, Outcome, Settings, Trainer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Images and masks to train on, and others to validate on.
struct Sets {
    training: Folders,
    validation: Folders,
}

impl Sets {
    fn new() -> Self {
        let folders = |count: usize, width: usize| {
            let folders = Folders::new();
            for index in 0..count {
                folders.image(&format!("{index}.png"), width + index, 20);
                folders.mask(&format!("{index}.png"), width + index, 20);
            }
            folders
        };
        Self { training: folders(5, 30), validation: folders(2, 50) }
    }

    /// Two steps to an epoch: of three batches, and of two.
    fn settings(&self) -> Settings {
        Settings {
            variant: VariantName::Tiny,
            size: 64,
            batch_size: 1,
            accumulate: 3,
            steps: Some(4),
            threads: Some(1),
            images: Some(self.training.images()),
            masks: Some(self.training.masks()),
            val_images: Some(self.validation.images()),
            val_masks: Some(self.validation.masks()),
            ..Settings::default()
        }
    }
}

/// What one rank does of a run; the last rank asks for a stop after step `stop`.
fn trained(trainer: Trainer, group: Arc<dyn Group>, stop: u64) -> Result<Outcome, String> {
    let is_last = group.rank() + 1 == group.size();
    let wanted = AtomicBool::new(false);
    let look = |event: &Event| {
        if let Event::Step { step, .. } = event
            && is_last
            && *step == stop
        {
            wanted.store(true, Ordering::Relaxed);
        }
    };
    let run = trainer.group(group).stop_when(&wanted).on_event(look).run();
    run.map(|trained| trained.outcome).map_err(|error| error.to_string())
}

/// A new run in `path` of `count` ranks, all with these settings.
fn begun(count: usize, settings: &Settings, path: &Path, stop: u64) -> Vec<Result<Outcome, String>> {
    with_ranks(count, |group| trained(Trainer::new(settings.clone()).out(path), group, stop))
}

#[test]
fn ranks_train_on_files_to_the_bytes_of_one_process() {
    let sets = Sets::new();
    let settings = sets.settings();
    let dir = tempfile::tempdir().unwrap();
    let (one, three, parts) = (dir.path().join("1"), dir.path().join("3"), dir.path().join("parts"));
    assert_eq!(begun(1, &settings, &one, 100), [Ok(Outcome::Finished)]);
    assert_eq!(begun(3, &settings, &three, 100), [const { Ok(Outcome::Finished) }; 3]);
    assert!(result(&three) == result(&one), "the number of ranks shows");

    // weights and moments are told by rank 0, which alone reads the run's folder
    assert_eq!(begun(2, &settings, &parts, 1), [const { Ok(Outcome::Stopped { step: 1 }) }; 2]);
    let ended = with_ranks(3, |group| trained(Trainer::resume(&parts), group, 100));
    assert_eq!(ended, [const { Ok(Outcome::Finished) }; 3]);
    assert!(result(&parts) == result(&one), "the interruption shows");
    let ended = with_ranks(2, |group| trained(Trainer::resume(&parts), group, 100));
    assert_eq!(ended, [const { Ok(Outcome::AlreadyFinished { step: 4 }) }; 2]);
}

#[test]
fn bad_files_are_one_list_whoever_has_read_them() {
    let sets = Sets::new();
    for index in [1, 2] {
        fs::write(sets.training.masks().join(format!("{index}.png")), "no picture").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let alone = begun(1, &sets.settings(), &path, 100)[0].clone().unwrap_err();
    assert!(alone.contains("1.png") && alone.contains("2.png"), "{alone}");
    let ended = begun(3, &sets.settings(), &path, 100);
    assert_eq!(ended[0].as_ref().unwrap_err(), &alone);
    for error in &ended[1..] {
        assert_eq!(error.as_ref().unwrap_err(), &format!("rank 0 (thread 0): {alone}"));
    }
    assert!(!path.exists());
}

#[test]
fn ranks_that_differ_do_not_begin() {
    let sets = Sets::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let ended = with_ranks(3, |group| {
        let seed = u64::from(group.rank() == 1);
        trained(Trainer::new(Settings { seed, ..sets.settings() }).out(&path), group, 100)
    });
    for error in ended {
        let error = error.unwrap_err();
        assert!(error.starts_with("rank 1 (thread 1) differs from rank 0 in the arguments"), "{error}");
    }
    assert!(!path.exists());
}
