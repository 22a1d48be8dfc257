//! Where the time goes: each kind of work adds what it took, while somebody asks for it. Else a look at a flag is all it costs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linear layers of blocks and adapters, with what is added to a tile while it is in the cache. Seconds of threads.
    Linear,
    /// Attention. Seconds of threads.
    Attention,
    /// Layer norms, and GELUs outside of products. Seconds of threads.
    Norm,
    /// Whole blocks: the three above, packing, moving rows, and threads that wait.
    Block,
    /// The patch embedding and all convolutions.
    Convolution,
    /// Batch norms.
    BatchNorm,
    /// Resampling, with the decoder's joins.
    Resample,
    /// Other joins and sums of maps.
    Join,
    /// The loss.
    Loss,
    /// The optimiser.
    Optimiser,
}

/// How many kinds there are.
pub const KINDS: usize = Kind::Optimiser as usize + 1;

static COUNTS: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; KINDS] = [const { AtomicU64::new(0) }; KINDS];
static OPERATIONS: [AtomicU64; KINDS] = [const { AtomicU64::new(0) }; KINDS];

/// Work of one kind: from now until this is dropped.
pub struct Scope(Option<(Kind, Instant)>);

/// Begins work of a kind, of so many floating-point operations in products.
pub fn scope(kind: Kind, operations: usize) -> Scope {
    if !COUNTS.load(Relaxed) {
        return Scope(None);
    }
    OPERATIONS[kind as usize].fetch_add(operations as u64, Relaxed);
    Scope(Some((kind, Instant::now())))
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some((kind, start)) = self.0 {
            NANOSECONDS[kind as usize].fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        }
    }
}

/// What a kind of work took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Seconds.
    pub seconds: f64,
    /// Floating-point operations of its products.
    pub operations: f64,
}

/// What each kind of work, in the order of [`Kind`], takes of a call. Work that is done beside it is counted too; two of
/// these follow one another.
pub fn during<R>(call: impl FnOnce() -> R) -> (R, [Spent; KINDS]) {
    static ONE: Mutex<()> = Mutex::new(());
    struct Counting;
    impl Drop for Counting {
        fn drop(&mut self) {
            COUNTS.store(false, Relaxed);
        }
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    NANOSECONDS.iter().chain(&OPERATIONS).for_each(|count| count.store(0, Relaxed));
    COUNTS.store(true, Relaxed);
    let counting = Counting;
    let result = call();
    drop(counting);
    let spent = std::array::from_fn(|i| Spent {
        seconds: NANOSECONDS[i].load(Relaxed) as f64 / 1e9,
        operations: OPERATIONS[i].load(Relaxed) as f64,
    });
    (result, spent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    // Other tests' work may be counted too.
    #[test]
    fn work_is_counted_while_somebody_asks() {
        let work = || {
            let _work = scope(Kind::Optimiser, 7);
            std::thread::sleep(Duration::from_millis(5));
        };
        work();
        let (_, spent) = during(|| [work(), work()]);
        let Spent { seconds, operations } = spent[Kind::Optimiser as usize];
        assert!(operations >= 14.0 && seconds >= 0.01, "{operations} {seconds}");
    }
}
