//! Threads as the ranks of a run.

use sam2unet::group::{Group, threads};
use std::sync::Arc;

/// Runs `work` on as many threads as ranks; gives what each returned.
pub fn with_ranks<T: Send>(count: usize, work: impl Fn(Arc<dyn Group>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = threads(count)
            .into_iter()
            .map(|group| {
                let work = &work;
                scope.spawn(move || work(Arc::new(group)))
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
