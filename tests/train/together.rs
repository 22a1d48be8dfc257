//! Several ranks train one model: threads are ranks here.

use crate::support::ranks::with_ranks;
use crate::support::toy::{Noise, Toy, lagging, never, rank, result, set, sources};
use sam2unet::train::{Outcome, Ranks, RanksError, RunFolder, Settings, Sources, TrainError};
use std::path::Path;

#[test]
fn every_number_of_ranks_writes_the_bytes_of_one() {
    let (settings, sources) = set();
    let dir = tempfile::tempdir().unwrap();
    let results = [1, 2, 3, 4, 6].map(|count| {
        let path = dir.path().join(count.to_string());
        let ended = with_ranks(count, |group| rank(group, &path, &settings, &sources, &mut Toy::new(), never).unwrap());
        assert!(ended.iter().all(|outcome| *outcome == Outcome::Finished));
        result(&path)
    });
    for other in &results[1..] {
        assert!(*other == results[0], "the number of ranks shows");
    }
}

/// Batches that are sent, and added up part by part, make the same steps.
#[test]
fn ranks_whose_devices_work_beside_them_write_the_same_bytes() {
    let (settings, sources) = set();
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    with_ranks(1, |group| rank(group, &plain, &settings, &sources, &mut Toy::new(), never).unwrap());
    for count in [1, 2, 3, 6] {
        let path = dir.path().join(count.to_string());
        with_ranks(count, |group| rank(group, &path, &settings, &sources, &mut lagging(), never).unwrap());
        assert!(result(&path) == result(&plain), "{count} ranks");
    }
}

/// A batch that one rank cannot read, with batches of all ranks on their way.
#[test]
fn what_one_rank_cannot_send_ends_all() {
    let (settings, _) = set();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (good, bad) = (Sources::of(Noise::new(1, 37), None), Sources::of(Noise::without(1, 37, 20), None));
    let ended = with_ranks(3, |group| {
        let sources = if group.rank() == 2 { &bad } else { &good };
        rank(group, &path, &settings, sources, &mut lagging(), never).map_err(|error| error.to_string())
    });
    for (rank, error) in ended.iter().map(|ended| ended.as_ref().unwrap_err()).enumerate() {
        let named = error.starts_with("rank 2 (thread 2): ");
        assert!(named != (rank == 2) && error.contains("noise-20"), "{error}");
    }
    let saved = RunFolder::open(&path).unwrap().state().unwrap().unwrap();
    assert_eq!(saved.step, result_steps(&path), "the steps before the fault are kept");
}

/// A run is stopped by one rank's flag, and goes on with another number of ranks.
#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let (settings, sources) = set();
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    with_ranks(1, |group| rank(group, &whole, &settings, &sources, &mut Toy::new(), never).unwrap());
    for (count, stop) in [(3, 5), (1, 6), (2, 9), (4, 1000)] {
        // the last rank alone is told to stop
        let ended = with_ranks(count, |group| {
            let is_last = group.rank() + 1 == count;
            rank(group, &parts, &settings, &sources, &mut Toy::new(), |step| is_last && step == stop).unwrap()
        });
        let expected = if stop == 1000 { Outcome::Finished } else { Outcome::Stopped { step: stop } };
        assert!(ended.iter().all(|outcome| *outcome == expected), "{ended:?}");
    }
    assert!(result(&parts) == result(&whole));
}

/// The file of one rank's batch is gone: all end with one message, and the steps before are kept.
#[test]
fn what_one_rank_cannot_read_ends_all() {
    let (settings, _) = set();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let good = Sources::of(Noise::new(1, 37), None);
    let bad = Sources::of(Noise::without(1, 37, 20), None);
    let ended = with_ranks(3, |group| {
        let sources = if group.rank() == 2 { &bad } else { &good };
        rank(group, &path, &settings, sources, &mut Toy::new(), never).map_err(|error| error.to_string())
    });
    // rank 2 has that image's batch at some step of the first epoch, or of a later one
    for (rank, error) in ended.iter().map(|ended| ended.as_ref().unwrap_err()).enumerate() {
        let named = error.starts_with("rank 2 (thread 2): ");
        assert!(named != (rank == 2) && error.contains("noise-20"), "{error}");
    }
    let saved = RunFolder::open(&path).unwrap().state().unwrap().unwrap();
    let logged = result_steps(&path);
    assert_eq!(saved.step, logged, "the steps before the fault are kept");
}

fn result_steps(path: &Path) -> u64 {
    let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    log.lines().filter(|line| line.contains("\"seconds\"")).count() as u64
}

#[test]
fn a_loss_that_is_no_number_is_one_message() {
    let (settings, sources) = set();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let ended = with_ranks(2, |group| {
        let mut learner = Toy::new();
        learner.breaks_after = (group.rank() == 1).then_some(2);
        rank(group, &path, &settings, &sources, &mut learner, never).unwrap_err()
    });
    assert!(matches!(&ended[0], TrainError::Loss { step: 3, .. }), "{:?}", ended[0]);
    assert!(matches!(&ended[1], TrainError::Ranks(RanksError::Failed { rank: 0, .. })), "{:?}", ended[1]);
}

#[test]
fn a_folder_that_cannot_be_written_ends_all() {
    let (settings, sources) = set();
    let settings = Settings { checkpoint_minutes: 0.0, ..settings };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let ended = with_ranks(3, |group| {
        let is_first = group.rank() == 0;
        let spoil = |step| {
            if step == 2 && is_first {
                // where checkpoints go there is a file now
                std::fs::rename(path.join("checkpoints"), path.join("moved")).unwrap();
                std::fs::write(path.join("checkpoints"), "").unwrap();
            }
            false
        };
        rank(group, &path, &settings, &sources, &mut Toy::new(), spoil).unwrap_err()
    });
    assert!(matches!(ended[0], TrainError::Folder { .. }), "{:?}", ended[0]);
    for error in &ended[1..] {
        let TrainError::Ranks(RanksError::Failed { rank: 0, host, reason, .. }) = error else { panic!("{error:?}") };
        assert!(host == "thread 0" && reason.contains("checkpoints"), "{reason}");
    }
}

#[test]
fn weights_that_differ_are_found_at_the_end_of_the_epoch() {
    let (settings, sources) = set();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let ended = with_ranks(3, |group| {
        let mut learner = Toy::new();
        learner.flips_at = (group.rank() == 1).then_some(2);
        rank(group, &path, &settings, &sources, &mut learner, never).unwrap_err().to_string()
    });
    for error in ended {
        assert!(error.starts_with("rank 1 (thread 1) differs from rank 0 in the weights: "), "{error}");
    }
}

#[test]
fn a_rank_with_other_images_is_found() {
    let (settings, _) = set();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let ended = with_ranks(2, |group| {
        // one image fewer: another number of batches
        let sources = sources(37 - 4 * group.rank());
        rank(group, &path, &settings, &sources, &mut Toy::new(), never).unwrap_err()
    });
    assert!(ended.iter().all(|error| matches!(error, TrainError::Ranks(_))), "{ended:?}");
}

#[test]
fn ranks_with_one_gpu_between_them_are_named_to_all() {
    let said = |cards: [&str; 4]| {
        with_ranks(4, |group| {
            Ranks::of(group.clone()).unwrap().distinct_gpus(cards[group.rank()]).map_err(|e| e.to_string())
        })
    };
    assert_eq!(said(["GPU-1", "GPU-2", "GPU-3", "GPU-4"]), vec![Ok(()); 4]);
    // the CPU is nobody's own
    assert_eq!(said(["", "", "GPU-3", ""]), vec![Ok(()); 4]);
    for error in said(["GPU-1", "GPU-2", "", "GPU-2"]) {
        let error = error.unwrap_err();
        let named =
            "ranks 1 (thread 1), 3 (thread 3) have one GPU between them (GPU-2): start as many processes on a machine";
        assert!(error.starts_with(named) && error.contains("CUDA_VISIBLE_DEVICES"), "{error}");
    }
}
