//! Convolution in bf16, forward and backward: one product, as deep as all taps together.

use super::frame::PaddedMap;
use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue, add_transposed_runs, product_of_runs};
use crate::kernels::cpu::gemm::operand::Runs;
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::tiled::{Left, ROW_LANES, TiledRows, tiled_product, tiled_product_of_blocks};
use crate::kernels::cpu::vector::bf16::round_bf16_pairs;
use crate::kernels::extent::Extent;
use rayon::prelude::*;
use std::ops::Range;

/// Pixels whose lanes are held at once for a weight's gradient: at least so many, or all.
const LINE_PIXELS: usize = 6144;

/// Lanes for some channels of a line's pixels: pixels `i` and `i + half` of the line share a lane, zeros stand for pixels
/// outside of it. `i` runs from `-reach` to `half + reach`.
fn pair_line(
    (line, channels): (&[f32], usize),
    of: Range<usize>,
    (half, reach): (usize, usize),
    zeros: &[f32],
    (lanes, width): (&mut [f32], usize),
) {
    let (pixels, count) = (line.len() / channels, half + 2 * reach);
    // where either pixel comes to lie on the line, or leaves it
    let mut cuts = [0, reach.saturating_sub(half), reach, (reach + pixels).saturating_sub(half), reach + pixels, count];
    cuts.iter_mut().for_each(|cut| *cut = count.min(*cut));
    cuts.sort_unstable();
    for [from, to] in cuts.array_windows().copied() {
        let at = |i: usize| match i.checked_sub(reach) {
            Some(px) if px < pixels => (&line[px * channels + of.start..], channels),
            _ => (zeros, 0),
        };
        let lanes = (&mut lanes[from * width..], width);
        round_bf16_pairs([to - from, of.len()], [at(from), at(from + half)], lanes);
    }
}

impl ConvSize {
    /// [`forward`](Self::forward) and [`backward_input`](Self::backward_input) for a weight in bf16.
    pub(super) fn apply_bf16(
        &self,
        x: (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Accumulate<'_>,
        then: Epilogue<'_>,
        y: &mut [f32],
    ) {
        // In a panel taps follow one another without gaps, so each must end with a step.
        let fits = self.taps() == 1 || factor.lanes_in(x.1).is_multiple_of(ROW_LANES);
        match factor.takes_tiles() && fits {
            true if self.taps() == 1 => self.apply_one_tap(x, factor, onto, then, y),
            true => self.apply_blocks(x, sign, factor, onto, then, y),
            false => self.apply_runs(x, sign, factor, onto, then, y),
        }
    }

    /// Where there is one tap: products of rows, rounded by the task that multiplies them.
    fn apply_one_tap(
        &self,
        (x, channels): (&[f32], usize),
        factor: &Packed,
        onto: Accumulate<'_>,
        then: Epilogue<'_>,
        y: &mut [f32],
    ) {
        let pixels = self.block_pixels_per_task();
        let tasks = y.par_chunks_mut(pixels * factor.columns()).zip(x.par_chunks(pixels * channels));
        tasks.for_each(|(y, x)| tiled_product(&TiledRows::of(x, channels), factor, onto, then, y));
    }

    /// Products of blocks of pixels that are neighbours on a line: what a tap reads for them are neighbours as well.
    pub(super) fn apply_blocks(
        &self,
        (x, channels): (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Accumulate<'_>,
        then: Epilogue<'_>,
        y: &mut [f32],
    ) {
        let (pixels, co) = (self.block_pixels_per_task(), factor.columns());
        let x = PaddedMap::new(x, channels, self);
        let shifts = self.shifts(sign, &x);
        let first = shifts.iter().min().copied().unwrap_or(0);
        let lanes = (0..x.pixel).step_by(ROW_LANES);
        let steps = shifts.iter().flat_map(|shift| lanes.clone().map(|lane| shift.abs_diff(first) + lane));
        let steps: Vec<usize> = steps.collect();
        y.par_chunks_mut(pixels * co).enumerate().for_each_init(Vec::new, |blocks, (i, y)| {
            x.blocks(i * pixels, y.len() / co, first, blocks);
            let left = Left { lanes: &x.lanes, row: x.pixel, steps: &steps, blocks };
            tiled_product_of_blocks(left, factor, onto, then, y);
        });
    }

    /// For any channels and any machine: taps are runs of a product.
    pub(super) fn apply_runs(
        &self,
        (x, channels): (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Accumulate<'_>,
        then: Epilogue<'_>,
        y: &mut [f32],
    ) {
        let (pixels, co) = (self.pixels_per_task(), factor.columns());
        let x = PaddedMap::new(x, channels, self);
        let shifts = self.shifts(sign, &x);
        let runs = Runs { run: x.pixel, shifts: &shifts };
        y.par_chunks_mut(pixels * co).enumerate().for_each_init(Vec::new, |starts, (i, y)| {
            x.pixel_starts(i * pixels, y.len() / co, starts);
            product_of_runs((&x.lanes, starts), runs, factor, onto, then, y);
        });
    }

    /// From a pixel's lanes to those that each tap reads.
    fn shifts(&self, sign: isize, x: &PaddedMap) -> Vec<isize> {
        self.offsets().map(|[dy, dx]| sign * (dy * x.line as isize + dx) * x.pixel as isize).collect()
    }

    /// Adds to the gradient of the weight: the output's gradient is the right operand, and what a tap reads is read in
    /// place. Two pixels of one line, half a line apart, share a lane: so every tap reads whole lanes, whatever its offset.
    pub(super) fn add_weight_gradient_bf16(&self, x: &[f32], gy: &[f32], mut factor: Packed, gw: &mut [f32]) {
        let (c, co, taps) = (self.channels, self.out_channels, self.taps());
        let Extent { height, width } = self.map;
        let (half, reach) = (width.div_ceil(2), self.reach()[1]);
        // A group of channels of all lines at a time.
        let channels = c.div_ceil(2 * c.div_ceil(64));
        let (parts, line) = (c.div_ceil(channels), (half + 2 * reach) * channels);
        let maps = LINE_PIXELS.div_ceil(height * width).min(self.batch);
        let mut lanes = Buffer::shared(maps * height * parts * line);
        let mut sums = Buffer::zeros(parts * taps * channels * co);
        let zeros = vec![0.0; channels.max(co)];
        for (x, gy) in x.chunks(maps * height * width * c).zip(gy.chunks(maps * height * width * co)) {
            let lines = gy.len() / (width * co);
            factor.set_blocks([lines * half, co], half, |i, columns, lanes| {
                let gy = &gy[i * width * co..][..width * co];
                pair_line((gy, co), columns, (half, 0), &zeros, lanes);
            });
            let lanes = &mut lanes[..lines * parts * line];
            lanes.par_chunks_mut(parts * line).with_min_len(4).enumerate().for_each(|(i, lanes)| {
                let x = &x[i * width * c..][..width * c];
                for (part, lanes) in lanes.chunks_exact_mut(line).enumerate() {
                    let of = part * channels..c.min((part + 1) * channels);
                    pair_line((x, c), of, (half, reach), &zeros, (lanes, channels));
                }
            });
            let lanes = &*lanes;
            sums.par_chunks_mut(channels * co).enumerate().for_each_init(Vec::new, |shifts, (i, sum)| {
                let ([dy, dx], part) = (self.offset(i % taps), i / taps);
                let rows = channels.min(c - part * channels);
                // the lines for which the tap lies on the map
                let inside = (-dy).max(0) as usize..height.saturating_sub(dy.max(0) as usize);
                for map in (0..lines).step_by(height).filter(|_| !inside.is_empty()) {
                    let start = |y: usize| {
                        let y = map + y.wrapping_add_signed(dy);
                        (y * parts + part) * line + reach.wrapping_add_signed(dx) * channels
                    };
                    shifts.clear();
                    shifts.extend(inside.clone().map(|y| start(y) as isize));
                    let runs = Runs { run: half, shifts };
                    let factor = (&factor, (map + inside.start) * half);
                    add_transposed_runs((lanes, channels), rows, runs, factor, &mut sum[..rows * co]);
                }
            });
        }
        gw.par_chunks_exact_mut(c * taps).enumerate().for_each(|(o, gw)| {
            for (ch, gw) in gw.chunks_exact_mut(taps).enumerate() {
                for (tap, g) in gw.iter_mut().enumerate() {
                    let row = (ch / channels * taps + tap) * channels + ch % channels;
                    *g += sums[row * co + o];
                }
            }
        });
    }
}
