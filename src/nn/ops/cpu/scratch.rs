//! Temporary numbers: each thread keeps some of the memory that it let go of and uses it again, as fresh pages and zeros
//! that nobody reads cost more than many a kernel.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps, at most.
const MOST: usize = 16;
/// Numbers that a thread keeps, at most: 32 MiB, a few maps of one image.
const KEPT: usize = 8 << 20;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers to be written before they are read: what they hold at first is of no worth.
#[derive(Debug, Default)]
pub struct Scratch(Vec<f32>);

impl Scratch {
    /// `length` numbers.
    pub fn new(length: usize) -> Self {
        if length == 0 || length > KEPT {
            return Self(vec![0.0; length]);
        }
        let mut numbers = FREE.with_borrow_mut(|free| {
            // The smallest that is large enough, else the largest.
            let fits = |v: &Vec<f32>| v.capacity() >= length;
            let best = (0..free.len()).min_by_key(|i| match fits(&free[*i]) {
                true => (false, free[*i].capacity()),
                false => (true, usize::MAX - free[*i].capacity()),
            });
            best.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if numbers.capacity() < length {
            numbers = Vec::new(); // nothing in it is worth a copy
        }
        numbers.resize(length, 0.0);
        Self(numbers)
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
        Self(numbers)
    }
}

impl From<Scratch> for Vec<f32> {
    /// To be kept: without the room that another use left in it.
    fn from(mut scratch: Scratch) -> Self {
        let mut numbers = std::mem::take(&mut scratch.0);
        numbers.shrink_to_fit();
        numbers
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.0);
        // A thread that ends has no list any more.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            let kept: usize = free.iter().map(Vec::capacity).sum();
            if free.len() < MOST && numbers.capacity() > 0 && kept + numbers.capacity() <= KEPT {
                free.push(numbers);
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
        let (small, large) = (Scratch::new(1000), Scratch::new(100_000));
        let (at_small, at_large) = (address(&small), address(&large));
        drop((small, large));
        drop((Scratch::new(0), Scratch::new(KEPT + 1)));
        assert_eq!(address(&Scratch::new(900)), at_small, "the smallest that fits");
        let large = Scratch::zeros(2000);
        assert_eq!(address(&large), at_large);
        assert_eq!(&*large, vec![0.0; 2000]);
    }
}
