//! Threads that spin instead of sleeping between short parallel parts.

use std::sync::atomic::{AtomicBool, Ordering};

/// How often a thread looks for work in vain before it offers the processor to others.
const PATIENCE: usize = 256;

/// Runs `work` while the pool's other threads spin between its parallel parts: falling asleep and being woken can take a thread
/// as long as such a part. They take up any work of the pool, also another caller's, and this function returns only when
/// that is done.
pub fn keep_busy<R>(work: impl FnOnce() -> R) -> R {
    let (done, own) = (AtomicBool::new(false), rayon::current_thread_index());
    let watch = || {
        let mut idle = 0;
        // The thread of `work` meets this too, when it waits for others: it must go on.
        while rayon::current_thread_index() != own && !done.load(Ordering::Acquire) {
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => idle = 0,
                _ if idle < PATIENCE => {
                    idle += 1;
                    std::hint::spin_loop();
                }
                _ => std::thread::yield_now(),
            }
        }
    };
    rayon::in_place_scope(|scope| {
        // also when `work` panics: the scope waits for its threads
        let _done = Done(&done);
        (usize::from(own.is_some())..rayon::current_num_threads()).for_each(|_| scope.spawn(|_| watch()));
        work()
    })
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn sum() -> usize {
        (0..100).map(|i| (0..1000usize).into_par_iter().map(|j| i * j).sum::<usize>()).sum()
    }

    #[test]
    fn work_ends_and_gives_its_result_in_pools_of_any_size_inside_and_outside() {
        let plain = sum();
        assert_eq!(keep_busy(sum), plain);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| keep_busy(sum)), plain);
            assert_eq!(pool.install(|| keep_busy(|| keep_busy(sum))), plain, "one in another");
        }
    }

    #[test]
    fn several_at_a_time_end() {
        let plain = sum();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..6).map(|_| scope.spawn(|| pool.install(|| keep_busy(sum)))).collect();
            callers.into_iter().for_each(|caller| assert_eq!(caller.join().unwrap(), plain));
        });
    }

    #[test]
    fn a_panic_ends_the_spinning() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| pool.install(|| keep_busy(|| panic!("on purpose")))));
        assert!(caught.is_err());
        assert_eq!(pool.install(|| keep_busy(sum)), sum());
    }
}
