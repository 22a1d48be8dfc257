//! Batches prepared in the background, so that the model never waits for a decoder.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::classes::class::Classes;
use super::dataset::Dataset;
use super::error::DataError;
use super::example::Example;
use super::flip::Flips;
use super::truth::BatchTruth;

/// What a batch is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRequest {
    /// The side that its images are resized to, a multiple of 32 from 64 on.
    pub side: usize,
    /// Its samples, in order: at least one.
    pub samples: Vec<(usize, Flips)>,
}

impl BatchRequest {
    /// Whether it is a batch that a network can take.
    ///
    /// # Errors
    /// [`DataError::EmptyBatch`], [`DataError::Side`].
    fn check(&self) -> Result<(), DataError> {
        match (self.samples.is_empty(), self.side) {
            (true, _) => Err(DataError::EmptyBatch),
            (false, side) if side < 64 || !side.is_multiple_of(32) => Err(DataError::Side { side }),
            _ => Ok(()),
        }
    }
}

/// `B` examples of one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The side of its images and masks.
    pub side: usize,
    /// The samples' indices in their [`Dataset`], in order.
    pub indices: Vec<usize>,
    /// `(B, 3, side, side)`, normalised.
    pub images: Vec<f32>,
    /// What is true of each pixel.
    pub truth: BatchTruth,
}

/// How many batches beyond the one handed out are in work or ready: two, so that a slow file in one does not hold up
/// the model while memory stays bounded.
const AHEAD: usize = 2;
/// How many batches are in memory at most: those, the one handed out, and the examples of which it is being put
/// together.
pub(crate) const BATCHES_HELD: usize = AHEAD + 2;

/// An iterator over batches, in the order of their requests whatever the number of threads.
///
/// A request for no sample, or at a side that is no multiple of 32 or below 64, is an error in its turn.
///
/// After an error it goes on with the next request, so that a caller may stop at the first error or collect them all.
/// Dropping it stops its threads: each finishes the sample in its hands, no more.
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    requests: VecDeque<BatchRequest>,
    in_work: VecDeque<InWork>,
    jobs: Option<Sender<Job>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// One sample to prepare, and where to send it.
struct Job {
    index: usize,
    side: usize,
    flips: Flips,
    done: Sender<Result<Example, DataError>>,
}

/// A batch whose samples are being prepared, one receiver for each.
struct InWork {
    request: BatchRequest,
    samples: Vec<Receiver<Result<Example, DataError>>>,
}

impl Loader {
    /// Starts `threads` threads (at least one) and the first batches. Where the system gives fewer threads, those do
    /// the work; where it gives none, a sample's error says so.
    pub fn new(dataset: Arc<dyn Dataset>, requests: Vec<BatchRequest>, threads: usize) -> Self {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads.max(1))
            .filter_map(|_| {
                let (dataset, queue, stop) = (dataset.clone(), queue.clone(), stop.clone());
                Builder::new().spawn(move || work(&*dataset, &queue, &stop)).ok()
            })
            .collect();
        let mut loader =
            Self { dataset, requests: requests.into(), in_work: VecDeque::new(), jobs: Some(jobs), stop, threads };
        loader.top_up(AHEAD);
        loader
    }

    /// Queues requests until this many batches are in work.
    fn top_up(&mut self, batches: usize) {
        let Some(jobs) = &self.jobs else { return };
        while self.in_work.len() < batches {
            let Some(request) = self.requests.pop_front() else { return };
            let side = request.side;
            let wanted = if request.check().is_ok() { &request.samples[..] } else { &[] };
            let samples = wanted
                .iter()
                .map(|&(index, flips)| {
                    let (done, receiver) = mpsc::channel();
                    // where no thread is left, `done` is dropped here and the receiver reports it
                    let _ = jobs.send(Job { index, side, flips, done });
                    receiver
                })
                .collect();
            self.in_work.push_back(InWork { request, samples });
        }
    }

    fn gather(&self, batch: InWork) -> Result<Batch, DataError> {
        batch.request.check()?;
        let InWork { request: BatchRequest { side, samples }, samples: receivers } = batch;
        let pixels = samples.len() * side * side;
        let mut indices = Vec::with_capacity(samples.len());
        let planes = self.dataset.classes().map_or(1, Classes::len);
        let (mut images, mut truths) = (Vec::with_capacity(3 * pixels), Vec::with_capacity(samples.len()));
        for ((index, _), receiver) in samples.into_iter().zip(receivers) {
            let lost = || DataError::Worker { name: self.dataset.name(index).to_owned() };
            let example = receiver.recv().map_err(|_| lost())??;
            let (image, mask) = (example.image.len(), example.truth.numbers());
            let planes = if let BatchTruth::Index(_) = example.truth { 1 } else { planes };
            if (image, mask) != (3 * side * side, planes * side * side) {
                let name = self.dataset.name(index).to_owned();
                return Err(DataError::ExampleSize { name, side, planes, image, mask });
            }
            indices.push(index);
            images.extend_from_slice(&example.image);
            truths.push(example.truth);
        }
        let truth = BatchTruth::together(truths, side * side).ok_or(DataError::MixedBatch)?;
        Ok(Batch { side, indices, images, truth })
    }
}

fn work(dataset: &dyn Dataset, queue: &Mutex<Receiver<Job>>, stop: &AtomicBool) {
    loop {
        // the lock is held while waiting, not while working
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // a receiver that is gone belongs to a batch given up after an error
        let _ = job.done.send(dataset.example(job.index, job.side, job.flips));
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.top_up(AHEAD + 1);
        let batch = self.in_work.pop_front()?;
        Some(self.gather(batch))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.in_work.len() + self.requests.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // a panic of the thread was reported as the sample's error
            let _ = thread.join();
        }
    }
}
