//! Batches from background threads: order, errors, panics, how far they work ahead.

use crate::support::pictures::Folders;
use sam2unet::data::{
    Batch, BatchRequest, BatchTruth, DataError, Dataset, Example, Flips, Grey, Loader, Rgb, Synthetic, Truth,
};
use std::fs;
use std::sync::Arc;

fn requests(count: usize, size: usize, side: usize) -> Vec<BatchRequest> {
    let flips = |i: usize| Flips { horizontal: i.is_multiple_of(2), vertical: i.is_multiple_of(3) };
    (0..count)
        .map(|batch| BatchRequest {
            side,
            samples: (batch * size..(batch + 1) * size).map(|i| (i, flips(i))).collect(),
        })
        .collect()
}

#[test]
fn batches_come_in_order_and_hold_what_was_asked_for() {
    let set = Arc::new(Synthetic::new(4, 20, 48));
    for threads in [0, 1, 3] {
        let loader = Loader::new(set.clone(), requests(5, 4, 64), threads);
        assert_eq!(loader.len(), 5);
        let batches: Vec<Batch> = loader.map(Result::unwrap).collect();
        assert_eq!(batches.len(), 5);
        for (batch, request) in batches.iter().zip(requests(5, 4, 64)) {
            let BatchTruth::Masks(masks) = &batch.truth else { panic!("{:?}", batch.truth) };
            assert_eq!((batch.images.len(), masks.len()), (4 * 3 * 4096, 4 * 4096));
            assert_eq!(batch.indices, request.samples.iter().map(|s| s.0).collect::<Vec<_>>());
            for (slot, (index, flips)) in request.samples.into_iter().enumerate() {
                let example = set.example(index, 64, flips).unwrap();
                assert_eq!(batch.images[slot * 3 * 4096..][..3 * 4096], example.image);
                assert_eq!(BatchTruth::Masks(masks[slot * 4096..][..4096].to_vec()), example.truth);
            }
        }
    }
    assert!(Loader::new(set, vec![], 2).next().is_none());
}

#[test]
fn a_bad_file_is_reported_in_its_turn_and_the_rest_goes_on() {
    let folders = Folders::new();
    for index in 0..8 {
        folders.image(&format!("{index}.png"), 40, 40);
        folders.mask(&format!("{index}.png"), 40, 40);
    }
    fs::write(folders.masks().join("3.png"), b"no longer a mask").unwrap();
    let folder = folders.open().unwrap();
    let results: Vec<_> = Loader::new(Arc::new(folder), requests(4, 2, 64), 2).collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("3.png"));
}

/// Counts what it prepares; panics where it is told to.
struct Counting {
    prepared: std::sync::atomic::AtomicUsize,
    panics_at: Option<usize>,
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        1000
    }

    fn name(&self, _: usize) -> &str {
        "counted"
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        self.prepared.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(self.panics_at != Some(index), "told to");
        Ok(Rgb::filled(4, 4, [0; 3]))
    }

    fn truth(&self, _: usize) -> Result<Truth, DataError> {
        Ok(Grey::filled(4, 4, [0]).into())
    }
}

#[test]
fn work_ahead_is_bounded_and_ends_with_the_loader() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: None });
    let mut loader = Loader::new(set.clone(), requests(100, 10, 64), 2);
    loader.next().unwrap().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let prepared = set.prepared.load(std::sync::atomic::Ordering::SeqCst);
    assert!((10..=40).contains(&prepared), "{prepared} samples are prepared after one batch of ten");
    drop(loader);
    // the threads are gone, so theirs is not a share any more
    assert_eq!(Arc::strong_count(&set), 1);
}

#[test]
fn a_panic_while_loading_is_an_error_and_not_a_wait_for_ever() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: Some(5) });
    // with two threads the other one goes on; with one nobody is left
    for (threads, ok) in [(2, vec![true, false, true]), (1, vec![true, false, false])] {
        let results: Vec<_> = Loader::new(set.clone(), requests(3, 4, 64), threads).collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), ok);
        assert!(matches!(results[1], Err(DataError::Worker { .. })));
    }
}

#[test]
fn batches_that_no_network_takes_are_errors_in_their_turn() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: None });
    let request =
        |side, count: usize| BatchRequest { side, samples: (0..count).map(|i| (i, Flips::default())).collect() };
    let requests = vec![request(64, 2), request(63, 2), request(32, 1), request(64, 0), request(96, 1)];
    let said = Loader::new(set.clone(), requests, 2).map(|batch| match batch {
        Ok(batch) => format!("{} of side {}", batch.indices.len(), batch.side),
        Err(e) => e.to_string(),
    });
    let side = |n| format!("a batch's side must be a multiple of 32 from 64 on, not {n}");
    let empty = "an empty batch: there must be an image".to_string();
    assert_eq!(
        said.collect::<Vec<_>>(),
        ["2 of side 64".to_string(), side(63), side(32), empty, "1 of side 96".into()]
    );
    assert_eq!(set.prepared.load(std::sync::atomic::Ordering::SeqCst), 3, "nothing is prepared for a refused batch");
}

/// A set of one's own whose examples are 64 x 128, whatever is asked for.
struct Oblong;

impl Dataset for Oblong {
    fn len(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> &str {
        "oblong"
    }

    fn image(&self, _: usize) -> Result<Rgb, DataError> {
        Ok(Rgb::filled(128, 64, [0; 3]))
    }

    fn truth(&self, _: usize) -> Result<Truth, DataError> {
        Ok(Grey::filled(128, 64, [0]).into())
    }

    fn example(&self, _: usize, _: usize, _: Flips) -> Result<Example, DataError> {
        Ok(Example { image: vec![0.0; 3 * 64 * 128], truth: BatchTruth::Masks(vec![0.0; 64 * 128]) })
    }
}

#[test]
fn an_example_of_another_size_is_an_error() {
    let said = Loader::new(Arc::new(Oblong), requests(1, 1, 64), 1).next().unwrap().unwrap_err().to_string();
    let wanted =
        "oblong: an example of side 64 has 12288 numbers in its image and 4096 in its mask, not 24576 and 8192";
    assert_eq!(said, wanted);
}
