//! The frozen stem: a 7x7 convolution with stride 4 and padding 3, plus the positional embedding.

use super::matmul::{Matrix, Threads, Write, matmul};
use super::resample::position;
use crate::nn::ops::patch_embed::StemSize;
use rayon::prelude::*;

const KERNEL: usize = 7;
const STRIDE: usize = 4;
const PADDING: usize = 3;

/// Image `(b, 3, s, s)` to map `(b, s/4, s/4, c)`; weight `(c, 3, 7, 7)`, bias `(c)`.
pub fn forward(
    s: StemSize,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    background: &[f32],
    window: &[f32],
    y: &mut [f32],
) {
    let (side, c, q) = (s.side, s.channels, s.side / STRIDE);
    let taps = 3 * KERNEL * KERNEL;
    let embedding = position(c, q, background, window);
    y.par_chunks_mut(q * c).enumerate().for_each_init(
        || vec![0.0; q * taps],
        |patches, (i, y)| {
            let (map, row) = (i / q, i % q);
            for (col, patch) in patches.chunks_exact_mut(taps).enumerate() {
                for (tap, p) in patch.iter_mut().enumerate() {
                    let (plane, ky, kx) = (tap / (KERNEL * KERNEL), tap / KERNEL % KERNEL, tap % KERNEL);
                    let (yy, xx) = (STRIDE * row + ky, STRIDE * col + kx);
                    let inside = (PADDING..side + PADDING).contains(&yy) && (PADDING..side + PADDING).contains(&xx);
                    *p = if inside { x[((map * 3 + plane) * side + yy - PADDING) * side + xx - PADDING] } else { 0.0 };
                }
            }
            let embedding = &embedding[row * q * c..][..q * c];
            for (y, e) in y.chunks_exact_mut(c).zip(embedding.chunks_exact(c)) {
                for ((y, e), b) in y.iter_mut().zip(e).zip(bias) {
                    *y = e + b;
                }
            }
            let weight = Matrix::new(weight, taps).transposed();
            matmul(y, Write::Add, 1.0, Matrix::new(patches, taps), weight, Threads::One);
        },
    );
}
