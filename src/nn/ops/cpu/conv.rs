//! Convolutions over NHWC maps with "same" padding, any kernel and dilation, as matrix products.
//!
//! The patches of a few hundred pixels are laid out side by side in cache, never those of a whole map.
//! A 1x1 convolution needs no patches.

use super::matmul::{Matrix, Threads, Write, add_column_sums, matmul};
use super::vector::{add_assign, relu_in_place};
use crate::nn::ops::conv2d::ConvSize;
use rayon::prelude::*;

/// Pixels worked on at once.
const PIXELS: usize = 256;
/// Partial sums of a weight's gradient: a fixed number, so that the result depends on no number of threads.
const PARTS: usize = 8;

/// Lays out the patch of each pixel in `from..from + count` (counted over the whole batch): for every tap
/// of the kernel the `channels` numbers it sees, zeros outside of the map. `sign` -1 turns the kernel around.
fn patches(s: &ConvSize, x: &[f32], channels: usize, sign: isize, from: usize, count: usize, out: &mut Vec<f32>) {
    out.clear();
    let (h, d) = (s.side, s.dilation as isize);
    for pixel in from..from + count {
        let (map, y, px) = (pixel / (h * h), pixel / h % h, pixel % h);
        for ky in 0..s.kernel[0] {
            let yy = y as isize + sign * d * (ky as isize - (s.kernel[0] / 2) as isize);
            for kx in 0..s.kernel[1] {
                let xx = px as isize + sign * d * (kx as isize - (s.kernel[1] / 2) as isize);
                if (0..h as isize).contains(&yy) && (0..h as isize).contains(&xx) {
                    let start = ((map * h + yy as usize) * h + xx as usize) * channels;
                    out.extend_from_slice(&x[start..start + channels]);
                } else {
                    out.resize(out.len() + channels, 0.0);
                }
            }
        }
    }
}

impl ConvSize {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
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
    fn by_tap(&self, weight: &[f32]) -> Vec<f32> {
        let (taps, c) = (self.taps(), self.channels);
        let mut w = vec![0.0; weight.len()];
        for (i, v) in weight.iter().enumerate() {
            let (o, ch, tap) = (i / (c * taps), i / taps % c, i % taps);
            w[(o * taps + tap) * c + ch] = *v;
        }
        w
    }

    /// The published `(co, c, kh, kw)` as `(c, taps, co)`.
    fn by_input(&self, weight: &[f32]) -> Vec<f32> {
        let (taps, c, co) = (self.taps(), self.channels, self.out_channels);
        let mut w = vec![0.0; weight.len()];
        for (i, v) in weight.iter().enumerate() {
            let (o, ch, tap) = (i / (c * taps), i / taps % c, i % taps);
            w[(ch * taps + tap) * co + o] = *v;
        }
        w
    }

    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
        let (c, co, k) = (self.channels, self.out_channels, self.taps() * self.channels);
        let w = self.by_tap(weight);
        let pixels = self.pixels_per_task();
        y.par_chunks_mut(pixels * co).enumerate().for_each_init(Vec::new, |buffer, (i, y)| {
            let (from, count) = (i * pixels, y.len() / co);
            let write = match bias {
                Some(bias) => {
                    y.chunks_exact_mut(co).for_each(|row| row.copy_from_slice(bias));
                    Write::Add
                }
                None => Write::Set,
            };
            let columns = if self.taps() == 1 {
                &x[from * c..][..count * c]
            } else {
                patches(self, x, c, 1, from, count, buffer);
                buffer.as_slice()
            };
            matmul(y, write, 1.0, Matrix::new(columns, k), Matrix::new(&w, k).transposed(), Threads::One);
            if relu {
                relu_in_place(y);
            }
        });
    }

    /// Adds to the gradient of the input.
    pub(super) fn backward_input(&self, weight: &[f32], gy: &[f32], gx: &mut [f32]) {
        let (c, co, k) = (self.channels, self.out_channels, self.taps() * self.out_channels);
        let w = self.by_input(weight);
        let pixels = self.pixels_per_task();
        gx.par_chunks_mut(pixels * c).enumerate().for_each_init(Vec::new, |buffer, (i, gx)| {
            let (from, count) = (i * pixels, gx.len() / c);
            let columns = if self.taps() == 1 {
                &gy[from * co..][..count * co]
            } else {
                patches(self, gy, co, -1, from, count, buffer);
                buffer.as_slice()
            };
            matmul(gx, Write::Add, 1.0, Matrix::new(columns, k), Matrix::new(&w, k).transposed(), Threads::One);
        });
    }

    /// Adds to the gradients of weight and bias.
    pub(super) fn backward_weight(&self, x: &[f32], gy: &[f32], gw: &mut [f32], gb: Option<&mut [f32]>) {
        let (c, co, taps) = (self.channels, self.out_channels, self.taps());
        let k = taps * c;
        let part_pixels = self.pixels().div_ceil(PARTS).max(PIXELS);
        let partial: Vec<Vec<f32>> = gy
            .par_chunks(part_pixels * co)
            .enumerate()
            .map(|(part, gy)| {
                let (mut sum, mut buffer) = (vec![0.0; co * k], Vec::new());
                for (i, gy) in gy.chunks(PIXELS * co).enumerate() {
                    let (from, count) = (part * part_pixels + i * PIXELS, gy.len() / co);
                    let columns = if taps == 1 {
                        &x[from * c..][..count * c]
                    } else {
                        patches(self, x, c, 1, from, count, &mut buffer);
                        buffer.as_slice()
                    };
                    matmul(
                        &mut sum,
                        Write::Add,
                        1.0,
                        Matrix::new(gy, co).transposed(),
                        Matrix::new(columns, k),
                        Threads::One,
                    );
                }
                sum
            })
            .collect();
        let mut total = vec![0.0; co * k];
        for part in &partial {
            add_assign(&mut total, part);
        }
        for (i, g) in gw.iter_mut().enumerate() {
            let (o, ch, tap) = (i / (c * taps), i / taps % c, i % taps);
            *g += total[(o * taps + tap) * c + ch];
        }
        if let Some(gb) = gb {
            add_column_sums(gy, gb);
        }
    }
}
