//! Memory for panels and tiles, on a line's start: vectors and tiles that straddle two lines take twice as long to load.

use super::micro::tiled::LINE;
use crate::kernels::cpu::buffer::Buffer;
use std::ops::{Deref, DerefMut};

/// How many numbers to skip, so that what follows begins on a line of the cache.
fn skipped(numbers: &[f32]) -> usize {
    numbers.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE - 1)
}

/// Numbers on a line's start, in memory of either kind.
#[derive(Debug, Default)]
pub struct Lines<M> {
    /// With up to a line before the first number.
    memory: M,
    start: usize,
    length: usize,
}

/// Numbers to be kept, on a line's start.
pub type Panels = Lines<Vec<f32>>;

/// A [`Buffer`] on a line's start.
pub type LineBuffer = Lines<Buffer>;

impl Panels {
    /// `length` zeros in memory that nobody has touched yet.
    pub fn zeros(length: usize) -> Self {
        let memory = vec![0.0; length + LINE - 1];
        Self { start: skipped(&memory), memory, length }
    }

    /// Makes it `length` numbers long; they are to be written before they are read.
    pub fn reset(&mut self, length: usize) {
        self.memory.resize(length + LINE - 1, 0.0);
        (self.start, self.length) = (skipped(&self.memory), length);
    }
}

impl LineBuffer {
    /// `length` numbers, to be written before they are read.
    pub fn new(length: usize) -> Self {
        Self::within(Buffer::new(length + LINE - 1), length)
    }

    /// The same for whole maps: see [`Buffer::shared`].
    pub fn shared(length: usize) -> Self {
        Self::within(Buffer::shared(length + LINE - 1), length)
    }

    fn within(memory: Buffer, length: usize) -> Self {
        Self { start: skipped(&memory), memory, length }
    }
}

impl<M: Deref<Target = [f32]>> Deref for Lines<M> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..][..self.length]
    }
}

impl<M: DerefMut<Target = [f32]>> DerefMut for Lines<M> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.length]
    }
}
