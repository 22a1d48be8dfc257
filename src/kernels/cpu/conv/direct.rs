//! Convolution by one product for each tap of the kernel, forward and backward.
//!
//! In single precision a tap's product takes the rows of the map that the tap reads; nothing is copied. In bf16 maps are
//! rounded first ([`bf16`](super::bf16)).

use super::geometry::PIXELS;
use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue, product, transposed_product};
use crate::kernels::cpu::gemm::linear::add_column_sums;
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::vector::rows::add_assign;
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;
use rayon::prelude::*;

/// Partial sums of a weight's gradient: a fixed number, so that the result does not depend on the number of threads.
const PARTS: usize = 8;

/// What one tap reads for each pixel in `from..from + count` (counted over the whole batch): rows of
/// the map, `zeros` outside of it.
pub(super) fn tap_rows<'a>(
    extent: Extent,
    x: &'a [f32],
    channels: usize,
    [dy, dx]: [isize; 2],
    (from, count): (usize, usize),
    zeros: &'a [f32],
    rows: &mut Vec<&'a [f32]>,
) {
    let Extent { height, width } = extent;
    rows.clear();
    let (mut pixel, end) = (from, from + count);
    while pixel < end {
        let (line, px) = (pixel / width, pixel % width);
        let (map, y) = (line / height, line % height);
        let here = (width - px).min(end - pixel);
        let inside = px.max((-dx).max(0) as usize)..(px + here).min(width.saturating_sub(dx.max(0) as usize));
        match y.checked_add_signed(dy).filter(|y| *y < height && inside.start < inside.end) {
            Some(y) => {
                let start = (map * height + y) * width;
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

impl ConvSize {
    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub fn forward(&self, x: &[f32], factor: &Packed, bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
        let then = if relu { Epilogue::Relu } else { Epilogue::None };
        self.apply((x, self.channels), 1, factor, bias.map_or(Accumulate::Overwrite, Accumulate::Bias), then, y);
    }

    /// Adds to the gradient of the input.
    pub fn backward_input(&self, weight: &[f32], gy: &[f32], gx: &mut [f32]) {
        let factor = Packed::from_runs(&self.weight_by_input(weight), self.out_channels, self.taps(), self.precision);
        self.apply((gy, self.out_channels), -1, &factor, Accumulate::Add, Epilogue::None, gx);
    }

    /// Adds to the gradients of weight and bias.
    pub fn backward_weight(&self, x: &[f32], gy: &[f32], gw: &mut [f32], gb: Option<&mut [f32]>) {
        match Packed::empty(self.precision) {
            factor if factor.precision() == Precision::Bf16 => self.add_weight_gradient_bf16(x, gy, factor, gw),
            _ => self.add_weight_gradient_f32(x, gy, gw),
        }
        if let Some(gb) = gb {
            add_column_sums(gy, gb);
        }
    }

    /// `y = then(onto + sum over taps of what the tap reads * its rows of the packed weight)`, for all pixels. `sign` -1 turns
    /// the kernel around.
    fn apply(
        &self,
        (x, channels): (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Accumulate<'_>,
        then: Epilogue<'_>,
        y: &mut [f32],
    ) {
        if factor.precision() == Precision::Bf16 {
            return self.apply_bf16((x, channels), sign, factor, onto, then, y);
        }
        let (pixels, co) = (self.pixels_per_task(), factor.columns());
        let tasks = y.par_chunks_mut(pixels * co).enumerate();
        // Tap by tap on purpose: longer sums would be rounded more.
        let (zeros, last) = (vec![0.0; channels], self.taps() - 1);
        tasks.for_each_init(Vec::new, |rows, (i, y)| {
            for (tap, [dy, dx]) in self.offsets().enumerate() {
                let range = (i * pixels, y.len() / co);
                tap_rows(self.map, x, channels, [sign * dy, sign * dx], range, &zeros, rows);
                let onto = if tap == 0 { onto } else { Accumulate::Add };
                let then = if tap == last { then } else { Epilogue::None };
                product(rows, factor, tap * channels, onto, then, y);
            }
        });
    }

    /// Adds to the gradient of the weight in single precision: a group of pixels at a time, in parts whose sums are added. What a
    /// tap reads of them is packed as the right operand.
    fn add_weight_gradient_f32(&self, x: &[f32], gy: &[f32], gw: &mut [f32]) {
        let (c, co, taps) = (self.channels, self.out_channels, self.taps());
        let k = taps * c;
        let part_pixels = self.pixels().div_ceil(PARTS).max(PIXELS);
        let zeros = vec![0.0; c];
        let partial: Vec<Vec<f32>> = gy
            .par_chunks(part_pixels * co)
            .enumerate()
            .map(|(part, gy)| {
                let (mut sum, mut rows, mut factor) = (vec![0.0; co * k], Vec::new(), Packed::empty(Precision::F32));
                for (i, gy) in gy.chunks(PIXELS * co).enumerate() {
                    let range = (part * part_pixels + i * PIXELS, gy.len() / co);
                    for (tap, offset) in self.offsets().enumerate() {
                        tap_rows(self.map, x, c, offset, range, &zeros, &mut rows);
                        factor.set_rows(rows.len(), c, |p| rows[p]);
                        transposed_product(gy, co, &factor, Accumulate::Add, k, &mut sum[tap * c..]);
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
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
