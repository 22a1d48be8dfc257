//! Temporary numbers: each thread keeps some of the memory that it let go of and uses it again, as fresh pages and zeros
//! that nobody reads cost more than many a kernel.

use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps, at most.
const MOST: usize = 48;
/// Numbers that a thread keeps, at most: 12 MiB.
const KEPT: usize = 3 << 20;
/// The same for one that infers ([`roomy`]): 64 MiB, the largest maps of a block and of the decoder.
const KEPT_IN_INFERENCE: usize = 16 << 20;
/// A buffer may be longer than asked for by this part of it, or by so many numbers.
const LOOSE: usize = 8;
const ROWS: usize = 1 << 14;
/// Numbers handled by one task of an elementwise operation.
pub const CHUNK: usize = 1 << 16;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static ROOM: Cell<usize> = const { Cell::new(KEPT) };
}

/// Numbers that this thread keeps at present; none when it ends.
fn room() -> usize {
    ROOM.try_with(Cell::get).unwrap_or(0)
}

/// Runs `work` while this thread keeps more, and fills what was made for longer numbers: it is for inference after inference,
/// which holds no tape beside and whose maps are made by the calling thread. What it keeps stays for the next inference, until
/// other numbers are let go.
pub fn roomy<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            ROOM.set(self.0);
        }
    }
    let _restore = Restore(ROOM.replace(KEPT_IN_INFERENCE));
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

/// Numbers to be written before they are read: what they hold at first is of no worth.
#[derive(Debug, Default)]
pub struct Scratch {
    /// At least as many as count: what was written once is never cleared again.
    numbers: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// `length` numbers.
    pub fn new(length: usize) -> Self {
        let numbers = Self::kept(length).unwrap_or_else(|| vec![0.0; length]);
        Self { numbers, length }
    }

    /// Numbers of whole maps. Fresh memory is touched by all threads first, as one alone would keep the others waiting: so not
    /// for a task of many.
    pub fn shared(length: usize) -> Self {
        let numbers = Self::kept(length).unwrap_or_else(|| zeros(length));
        Self { numbers, length }
    }

    /// The same, all zeros.
    pub fn shared_zeros(length: usize) -> Self {
        match Self::kept(length) {
            Some(mut numbers) => {
                numbers[..length].par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0));
                Self { numbers, length }
            }
            None => zeros(length).into(),
        }
    }

    /// Memory that this thread kept, for `length` numbers.
    fn kept(length: usize) -> Option<Vec<f32>> {
        let room = room();
        if length == 0 || length > room {
            return None;
        }
        FREE.with_borrow_mut(|free| {
            // The smallest that is large enough, but no map for a row.
            let loose = if room > KEPT { 3 * length } else { length / LOOSE };
            let fits = |i: &usize| (length..=length + loose.max(ROWS)).contains(&free[*i].len());
            let best = (0..free.len()).filter(fits).min_by_key(|i| free[*i].len());
            best.map(|i| free.remove(i))
        })
    }

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut zeros = Self::new(length);
        zeros.fill(0.0);
        zeros
    }
}

impl From<Vec<f32>> for Scratch {
    fn from(numbers: Vec<f32>) -> Self {
        Self { length: numbers.len(), numbers }
    }
}

impl From<Scratch> for Vec<f32> {
    /// To be kept: without the room that another use left in it.
    fn from(mut scratch: Scratch) -> Self {
        let mut numbers = std::mem::take(&mut scratch.numbers);
        numbers.truncate(scratch.length);
        numbers.shrink_to_fit();
        numbers
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        let room = room();
        // A thread that ends has no list any more.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if !numbers.is_empty() && numbers.len() <= room {
                free.push(numbers);
            }
            let mut kept: usize = free.iter().map(Vec::len).sum();
            while free.len() > MOST || kept > room {
                kept -= free.remove(0).len(); // the one that nobody wanted for the longest time
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let address = |s: &Scratch| s.as_ptr();
        let (small, large) = (Scratch::new(1000), Scratch::new(17_000));
        let (at_small, at_large) = (address(&small), address(&large));
        drop((small, large));
        drop((Scratch::new(0), Scratch::new(KEPT + 1)));
        assert_eq!(address(&Scratch::new(900)), at_small, "the smallest that fits");
        let large = Scratch::zeros(2000);
        assert_eq!(address(&large), at_large);
        assert_eq!(&*large, vec![0.0; 2000]);
        drop(large);
        assert_ne!(address(&Scratch::new(80)), at_large, "the small one again");
        let _taken = Scratch::new(2000);
        assert_ne!(address(&Scratch::new(2000)), at_large, "one at a time");
    }

    #[test]
    fn shared_memory_is_as_long_as_asked_for_and_zeros_are_zeros() {
        for length in [0, 5, CHUNK - 1, CHUNK, CHUNK + 24] {
            assert_eq!(zeros(length), vec![0.0; length]);
            assert_eq!(Scratch::shared(length).len(), length);
            let mut used = Scratch::shared_zeros(length);
            assert_eq!(&*used, vec![0.0; length]);
            used.fill(1.0);
            drop(used);
            assert_eq!(&*Scratch::shared_zeros(length), vec![0.0; length], "of memory that was used");
        }
    }

    #[test]
    fn in_inference_more_is_kept_and_longer_memory_is_taken() {
        let lengths = [3, 2, 1].map(|part| part * KEPT / 2);
        let addresses = || lengths.map(Scratch::new).each_ref().map(|s| s.as_ptr());
        let (first, again, shorter) = roomy(|| (addresses(), addresses(), Scratch::new(KEPT / 3).as_ptr()));
        assert_eq!(first, again);
        assert_eq!(shorter, first[2], "the shortest of the three");
        drop(Scratch::new(KEPT + 1));
        let kept: usize = FREE.with_borrow(|free| free.iter().map(Vec::len).sum());
        assert!(kept <= KEPT, "{kept} are kept afterwards");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let buffers: Vec<Scratch> = (1..=2 * MOST).map(|i| Scratch::new(i * KEPT / 40)).collect();
        drop(buffers);
        FREE.with_borrow(|free| {
            assert!(free.len() <= MOST && free.iter().map(Vec::len).sum::<usize>() <= KEPT);
            assert!(!free.is_empty());
        });
    }
}
