//! A profile: while it is on, each kind of work adds the time that it took. While it is off, that costs one look at a flag.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linear layers of blocks and adapters, with their epilogues. Summed over threads.
    Linear,
    /// Attention. Summed over threads.
    Attention,
    /// Layer norms, and GELUs outside of products. Summed over threads.
    Norm,
    /// Whole blocks: the three above, packing, moving rows, and waiting threads.
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

/// Begins work of a kind, whose products take this many floating-point operations.
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

/// Profiles `call`: its result, and what each kind of work took, in the order of [`Kind`]. Work of other threads meanwhile is
/// counted too. Concurrent calls of this function run sequentially.
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
