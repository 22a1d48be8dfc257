//! A typed buffer of `f32` from a per-thread pool of memory.
//!
//! Each thread keeps some of the memory of the buffers that it dropped and hands it out again, because fresh pages and
//! unread zeros cost more time than many a kernel. So a new [`Buffer`] is uninitialised: it holds the numbers of an earlier one.
//! In debug builds it is filled with NaN (poisoned) instead, which shows when a kernel reads what was never written.

use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};

/// Pieces of memory in a thread's pool, at most.
const MOST_PIECES: usize = 48;
/// Numbers in a thread's pool, at most: 12 MiB.
const POOL_SIZE: usize = 3 << 20;
/// The same for a thread that infers ([`with_large_pool`]): 64 MiB, the largest maps of a block and of the decoder.
const LARGE_POOL_SIZE: usize = 16 << 20;
/// Memory from the pool may be longer than asked for by one part in so many, or by [`SPARE_NUMBERS`].
const SPARE_PART: usize = 8;
/// See [`SPARE_PART`].
const SPARE_NUMBERS: usize = 1 << 14;
/// Numbers handled by one task of an elementwise operation.
pub const CHUNK: usize = 1 << 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static POOL_LIMIT: Cell<usize> = const { Cell::new(POOL_SIZE) };
}

/// Numbers that this thread's pool may hold at present; none when the thread ends.
fn limit() -> usize {
    POOL_LIMIT.try_with(Cell::get).unwrap_or(0)
}

/// Runs `work` while this thread's pool may hold more, and may hand out memory that is much longer than asked for. It is for
/// repeated inference: inference holds no tape beside the pool, and its maps are made by the calling thread. What is in
/// the pool stays for the next inference, until a buffer is dropped outside of it.
pub fn with_large_pool<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            POOL_LIMIT.set(self.0);
        }
    }
    let _restore = Restore(POOL_LIMIT.replace(LARGE_POOL_SIZE));
    work()
}

/// Zeros, written by all threads.
pub fn zeros(length: usize) -> Vec<f32> {
    const ROW: usize = 16;
    if length < CHUNK || rayon::current_num_threads() == 1 {
        return vec![0.0; length];
    }
    let rows = (0..length.div_ceil(ROW)).into_par_iter().with_min_len(CHUNK / ROW).map(|_| [0.0; ROW]);
    let mut numbers = rows.collect::<Vec<_>>().into_flattened();
    numbers.truncate(length);
    numbers
}

/// `length` numbers of type `f32`; its memory comes from the thread's pool and goes back there. [`new`](Self::new) and
/// [`shared`](Self::shared) leave it uninitialised: its numbers are to be written before they are read.
#[derive(Debug, Default)]
pub struct Buffer {
    /// At least `length` numbers; the rest belong to an earlier, longer use of the memory.
    numbers: Vec<f32>,
    length: usize,
}

impl Buffer {
    /// `length` numbers, uninitialised.
    pub fn new(length: usize) -> Self {
        let numbers = Self::from_pool(length).unwrap_or_else(|| vec![0.0; length]);
        Self { numbers, length }.poisoned()
    }

    /// The same for whole maps: fresh memory is touched by all threads first, as one alone would keep the others waiting. So it
    /// is not for one parallel task of many.
    pub fn shared(length: usize) -> Self {
        let numbers = Self::from_pool(length).unwrap_or_else(|| zeros(length));
        Self { numbers, length }.poisoned()
    }

    /// In debug builds and unit tests filled with NaN, which shows when it is read before it is written.
    fn poisoned(mut self) -> Self {
        if cfg!(any(debug_assertions, test)) {
            self.fill(f32::NAN);
        }
        self
    }

    /// [`shared`](Self::shared), all zeros.
    pub fn shared_zeros(length: usize) -> Self {
        match Self::from_pool(length) {
            Some(mut numbers) => {
                numbers[..length].par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0));
                Self { numbers, length }
            }
            None => zeros(length).into(),
        }
    }

    /// Memory of at least `length` numbers from this thread's pool.
    fn from_pool(length: usize) -> Option<Vec<f32>> {
        let limit = limit();
        if length == 0 || length > limit {
            return None;
        }
        POOL.with_borrow_mut(|pool| {
            // The smallest that is large enough, but never that of a map for a row.
            let spare = if limit > POOL_SIZE { 3 * length } else { length / SPARE_PART };
            let fits = |i: &usize| (length..=length + spare.max(SPARE_NUMBERS)).contains(&pool[*i].len());
            let best = (0..pool.len()).filter(fits).min_by_key(|i| pool[*i].len());
            best.map(|i| pool.remove(i))
        })
    }

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut zeros = Self::new(length);
        zeros.fill(0.0);
        zeros
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(numbers: Vec<f32>) -> Self {
        Self { length: numbers.len(), numbers }
    }
}

impl From<Buffer> for Vec<f32> {
    /// To be kept for long: without the spare memory after its numbers.
    fn from(mut buffer: Buffer) -> Self {
        let mut numbers = std::mem::take(&mut buffer.numbers);
        numbers.truncate(buffer.length);
        numbers.shrink_to_fit();
        numbers
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        let limit = limit();
        // A thread that ends has no pool any more.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if !numbers.is_empty() && numbers.len() <= limit {
                pool.push(numbers);
            }
            let mut held: usize = pool.iter().map(Vec::len).sum();
            while pool.len() > MOST_PIECES || held > limit {
                held -= pool.remove(0).len(); // the one that nobody wanted for the longest time
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let address = |s: &Buffer| s.as_ptr();
        let (small, large) = (Buffer::new(1000), Buffer::new(17_000));
        let (at_small, at_large) = (address(&small), address(&large));
        drop((small, large));
        drop((Buffer::new(0), Buffer::new(POOL_SIZE + 1)));
        assert_eq!(address(&Buffer::new(900)), at_small, "the smallest that fits");
        let large = Buffer::zeros(2000);
        assert_eq!(address(&large), at_large);
        assert_eq!(&*large, vec![0.0; 2000]);
        drop(large);
        assert_ne!(address(&Buffer::new(80)), at_large, "the small one again");
        let _taken = Buffer::new(2000);
        assert_ne!(address(&Buffer::new(2000)), at_large, "one at a time");
    }

    #[test]
    fn shared_memory_is_as_long_as_asked_for_and_zeros_are_zeros() {
        for length in [0, 5, CHUNK - 1, CHUNK, CHUNK + 24] {
            assert_eq!(zeros(length), vec![0.0; length]);
            assert_eq!(Buffer::shared(length).len(), length);
            let mut used = Buffer::shared_zeros(length);
            assert_eq!(&*used, vec![0.0; length]);
            used.fill(1.0);
            drop(used);
            assert_eq!(&*Buffer::shared_zeros(length), vec![0.0; length], "of memory that was used");
        }
    }

    #[test]
    fn a_large_pool_holds_more_and_hands_out_longer_memory() {
        let lengths = [3, 2, 1].map(|part| part * POOL_SIZE / 2);
        let addresses = || lengths.map(Buffer::new).each_ref().map(|s| s.as_ptr());
        let (first, again, shorter) =
            with_large_pool(|| (addresses(), addresses(), Buffer::new(POOL_SIZE / 3).as_ptr()));
        assert_eq!(first, again);
        assert_eq!(shorter, first[2], "the shortest of the three");
        drop(Buffer::new(POOL_SIZE + 1));
        let held: usize = POOL.with_borrow(|pool| pool.iter().map(Vec::len).sum());
        assert!(held <= POOL_SIZE, "{held} are held afterwards");
    }

    #[test]
    fn a_pool_has_a_bound() {
        let buffers: Vec<Buffer> = (1..=2 * MOST_PIECES).map(|i| Buffer::new(i * POOL_SIZE / 40)).collect();
        drop(buffers);
        POOL.with_borrow(|pool| {
            assert!(pool.len() <= MOST_PIECES && pool.iter().map(Vec::len).sum::<usize>() <= POOL_SIZE);
            assert!(!pool.is_empty());
        });
    }

    #[test]
    #[cfg(any(debug_assertions, test))]
    fn uninitialised_memory_is_poisoned() {
        drop(Buffer::zeros(1000));
        for buffer in [Buffer::new(1000), Buffer::shared(1000), Buffer::shared(CHUNK)] {
            assert!(buffer.iter().all(|v| v.is_nan()));
        }
    }
}
