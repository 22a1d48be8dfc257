//! Convolutions over NHWC maps with "same" padding, any kernel and dilation, as matrix products.
//!
//! Each tap of a kernel is one product with the rows of the map that it sees; nothing is laid out anew.

use super::matmul::{Onto, Packed, Then, add_column_sums, product, transposed_product};
use super::vector::{add_assign, halve_rows};
use crate::nn::Precision;
use crate::nn::ops::conv2d::ConvSize;
use rayon::prelude::*;
use std::borrow::Cow;

/// Pixels worked on at once.
const PIXELS: usize = 256;
/// Partial sums of a weight's gradient: a fixed number, so that the result depends on no number of threads.
const PARTS: usize = 8;

/// The numbers that one tap sees for each pixel in `from..from + count` (counted over the whole batch): rows of
/// the map, `zeros` outside of it.
fn seen<'a>(
    side: usize,
    x: &'a [f32],
    channels: usize,
    [dy, dx]: [isize; 2],
    (from, count): (usize, usize),
    zeros: &'a [f32],
    rows: &mut Vec<&'a [f32]>,
) {
    rows.clear();
    let (mut pixel, end) = (from, from + count);
    while pixel < end {
        let (line, px) = (pixel / side, pixel % side);
        let (map, y) = (line / side, line % side);
        let here = (side - px).min(end - pixel);
        let inside = px.max((-dx).max(0) as usize)..(px + here).min(side.saturating_sub(dx.max(0) as usize));
        match y.checked_add_signed(dy).filter(|y| *y < side && inside.start < inside.end) {
            Some(y) => {
                let start = (map * side + y) * side;
                let of = |px: usize| (start + (px as isize + dx) as usize) * channels;
                rows.extend(std::iter::repeat_n(zeros, inside.start - px));
                rows.extend(x[of(inside.start)..of(inside.end)].chunks_exact(channels));
                rows.extend(std::iter::repeat_n(zeros, px + here - inside.end));
            }
            None => rows.extend(std::iter::repeat_n(zeros, here)),
        }
        pixel += here;
    }
}

/// [`Packed::words`] of a whole map, by all threads.
fn parallel_words<'x>(factor: &Packed, x: &'x [f32], channels: usize) -> Cow<'x, [f32]> {
    match factor.precision() {
        Precision::F32 | Precision::Tf32 => Cow::Borrowed(x),
        Precision::Bf16 => {
            let mut words = vec![0.0; x.len() / channels * factor.words_in(channels)];
            let parts = words.par_chunks_mut(PIXELS * factor.words_in(channels));
            parts.zip(x.par_chunks(PIXELS * channels)).for_each(|(words, x)| halve_rows(x, channels, words));
            Cow::Owned(words)
        }
    }
}

impl ConvSize {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Floating-point operations of its products, as one tap after another has them.
    pub(super) fn operations(&self) -> usize {
        2 * self.pixels() * self.taps() * self.channels * self.out_channels
    }

    fn pixels(&self) -> usize {
        self.batch * self.side * self.side
    }

    /// Pixels per task, so that every thread has work.
    fn pixels_per_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let tasks = self.pixels().div_ceil(PIXELS).next_multiple_of(threads);
        self.pixels().div_ceil(tasks).max(16)
    }

    /// The published `(co, c, kh, kw)` as `(co, taps, c)`.
    fn by_tap<'w>(&self, weight: &'w [f32]) -> Cow<'w, [f32]> {
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
    fn by_input(&self, weight: &[f32]) -> Vec<f32> {
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

    /// Distance from a pixel to what each tap sees.
    fn offsets(&self) -> impl Iterator<Item = [isize; 2]> {
        let [kh, kw] = self.kernel;
        let at = move |i: usize, k: usize| self.dilation as isize * (i as isize - (k / 2) as isize);
        (0..kh).flat_map(move |y| (0..kw).map(move |x| [at(y, kh), at(x, kw)]))
    }

    /// `y = then(onto + sum over taps of what the tap sees * its rows of the factor)`, for all pixels. `sign` -1 turns
    /// the kernel around.
    fn apply(
        &self,
        (x, channels): (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Onto<'_>,
        then: Then<'_>,
        y: &mut [f32],
    ) {
        let (pixels, co, last) = (self.pixels_per_task(), factor.columns(), self.taps() - 1);
        let (x, words) = (&*parallel_words(factor, x, channels), factor.words_in(channels));
        let zeros = vec![0.0; words];
        y.par_chunks_mut(pixels * co).enumerate().for_each_init(Vec::new, |rows, (i, y)| {
            for (tap, [dy, dx]) in self.offsets().enumerate() {
                let range = (i * pixels, y.len() / co);
                seen(self.side, x, words, [sign * dy, sign * dx], range, &zeros, rows);
                let onto = if tap == 0 { onto } else { Onto::Itself };
                let then = if tap == last { then } else { Then::Stop };
                product(rows, factor, tap * words, onto, then, y);
            }
        });
    }

    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
        let factor = Packed::from_runs(&self.by_tap(weight), self.channels, self.taps(), self.precision);
        let then = if relu { Then::Relu } else { Then::Stop };
        self.apply((x, self.channels), 1, &factor, bias.map_or(Onto::Nothing, Onto::Bias), then, y);
    }

    /// Adds to the gradient of the input.
    pub(super) fn backward_input(&self, weight: &[f32], gy: &[f32], gx: &mut [f32]) {
        let factor = Packed::from_runs(&self.by_input(weight), self.out_channels, self.taps(), self.precision);
        self.apply((gy, self.out_channels), -1, &factor, Onto::Itself, Then::Stop, gx);
    }

    /// Adds to the gradients of weight and bias.
    pub(super) fn backward_weight(&self, x: &[f32], gy: &[f32], gw: &mut [f32], gb: Option<&mut [f32]>) {
        let (c, co, taps) = (self.channels, self.out_channels, self.taps());
        let k = taps * c;
        let part_pixels = self.pixels().div_ceil(PARTS).max(PIXELS);
        let zeros = vec![0.0; c];
        let partial: Vec<Vec<f32>> = gy
            .par_chunks(part_pixels * co)
            .enumerate()
            .map(|(part, gy)| {
                let (mut sum, mut rows, mut factor) = (vec![0.0; co * k], Vec::new(), Packed::empty(self.precision));
                for (i, gy) in gy.chunks(PIXELS * co).enumerate() {
                    let left = factor.row_words(gy, co);
                    let range = (part * part_pixels + i * PIXELS, gy.len() / co);
                    for (tap, offset) in self.offsets().enumerate() {
                        seen(self.side, x, c, offset, range, &zeros, &mut rows);
                        factor.set_rows(rows.len(), c, |p| rows[p]);
                        transposed_product(&left, co, &factor, Onto::Itself, k, &mut sum[tap * c..]);
                    }
                }
                sum
            })
            .collect();
        let mut total = vec![0.0; co * k];
        for part in &partial {
            add_assign(&mut total, part);
        }
        for (gw, total) in gw.chunks_exact_mut(k).zip(total.chunks_exact(k)) {
            for (ch, gw) in gw.chunks_exact_mut(taps).enumerate() {
                for (tap, g) in gw.iter_mut().enumerate() {
                    *g += total[tap * c + ch];
                }
            }
        }
        if let Some(gb) = gb {
            add_column_sums(gy, gb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_sees_what_a_plain_loop_sees() {
        let (side, channels, maps) = (5, 2, 3);
        let x: Vec<f32> = (1..=maps * side * side * channels).map(|v| v as f32).collect();
        let zeros = [0.0; 2];
        for (dy, dx) in (-7..=7).flat_map(|dy| (-7..=7).map(move |dx| (dy, dx))) {
            for (from, count) in [(0, 75), (3, 1), (7, 30), (24, 2), (74, 1)] {
                let mut rows = Vec::new();
                seen(side, &x, channels, [dy, dx], (from, count), &zeros, &mut rows);
                let want = (from..from + count).map(|pixel| {
                    let (map, y, x0) = (pixel / 25, (pixel / 5 % 5) as isize + dy, (pixel % 5) as isize + dx);
                    let inside = (0..5).contains(&y) && (0..5).contains(&x0);
                    if inside { &x[((map * 5 + y as usize) * 5 + x0 as usize) * 2..][..2] } else { &zeros[..] }
                });
                assert!(rows.iter().copied().eq(want), "offset {dy} {dx}, pixels {from} + {count}");
            }
        }
    }
}
