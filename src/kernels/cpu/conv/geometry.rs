//! The sizes of a convolution, and its weights in the orders that its products read.

use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::tiled::{BLOCK_ROWS, TILE_ROWS};
use rayon::prelude::*;
use std::borrow::Cow;

/// Pixels worked on at once.
pub(super) const PIXELS: usize = 256;
/// The same for products of blocks of pixels: each part of a panel meets them all before it leaves the first cache.
const BLOCKS_PIXELS: usize = 384;

impl ConvSize {
    /// Taps of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Floating-point operations of its products, computed tap by tap.
    pub fn operations(&self) -> usize {
        2 * self.pixels() * self.taps() * self.channels * self.out_channels
    }

    /// Pixels of all maps.
    pub(super) fn pixels(&self) -> usize {
        self.batch * self.map.area()
    }

    /// Pixels per task, so that every thread has work.
    pub(super) fn pixels_per_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let tasks = self.pixels().div_ceil(PIXELS).next_multiple_of(threads);
        self.pixels().div_ceil(tasks).max(16)
    }

    /// Pixels per task for products of blocks of pixels. With one tap whole blocks; else blocks end where lines do, so
    /// whole lines unless threads would wait for the one that has a line more.
    pub(super) fn block_pixels_per_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let tasks = self.pixels().div_ceil(BLOCKS_PIXELS).next_multiple_of(threads);
        let pixels = self.pixels().div_ceil(tasks);
        if self.taps() == 1 {
            return pixels.next_multiple_of(BLOCK_ROWS);
        }
        let part = pixels.next_multiple_of(TILE_ROWS);
        let lines = (self.batch * self.map.height).div_ceil(tasks) * self.map.width;
        if lines <= part + part / 4 { lines } else { part }
    }

    /// The published `(co, c, kh, kw)` as `(co, taps, c)`.
    pub(super) fn weight_by_tap<'w>(&self, weight: &'w [f32]) -> Cow<'w, [f32]> {
        let (taps, c) = (self.taps(), self.channels);
        if taps == 1 {
            return Cow::Borrowed(weight);
        }
        let mut w = vec![0.0; weight.len()];
        weight.par_chunks_exact(c * taps).zip(w.par_chunks_exact_mut(c * taps)).for_each(|(from, to)| {
            for (ch, from) in from.chunks_exact(taps).enumerate() {
                for (tap, v) in from.iter().enumerate() {
                    to[tap * c + ch] = *v;
                }
            }
        });
        Cow::Owned(w)
    }

    /// The published `(co, c, kh, kw)` as `(c, taps, co)`.
    pub(super) fn weight_by_input(&self, weight: &[f32]) -> Vec<f32> {
        let (taps, c, co) = (self.taps(), self.channels, self.out_channels);
        let mut w = vec![0.0; weight.len()];
        for (o, from) in weight.chunks_exact(c * taps).enumerate() {
            for (from, to) in from.chunks_exact(taps).zip(w.chunks_exact_mut(taps * co)) {
                for (tap, v) in from.iter().enumerate() {
                    to[tap * co + o] = *v;
                }
            }
        }
        w
    }

    /// From a pixel to the pixel that a tap reads: lines down, pixels to the right.
    pub(super) fn offset(&self, tap: usize) -> [isize; 2] {
        let [kh, kw] = self.kernel;
        let at = |i: usize, k: usize| self.dilation as isize * (i as isize - (k / 2) as isize);
        [at(tap / kw, kh), at(tap % kw, kw)]
    }

    /// The same for all taps, in order.
    pub(super) fn offsets(&self) -> impl Iterator<Item = [isize; 2]> {
        (0..self.taps()).map(|tap| self.offset(tap))
    }

    /// The largest of these distances, down and to the right.
    pub(super) fn reach(&self) -> [usize; 2] {
        self.kernel.map(|k| self.dilation * (k / 2))
    }

    /// The right operand of the forward pass, which maps are multiplied by, from the published weight.
    pub fn packed_weight(&self, weight: &[f32]) -> Packed {
        Packed::from_runs(&self.weight_by_tap(weight), self.channels, self.taps(), self.precision)
    }
}
