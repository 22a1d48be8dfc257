//! The frozen stem: a 7x7 convolution with stride 4 and padding 3, plus the positional embedding.

use super::matmul::{Onto, Packed, Then, matrix_product};
use super::positional_embedding::positional_embedding;
use crate::nn::Precision;
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
    let weight = Packed::from_columns(weight, taps, Precision::F32);
    let embedding = positional_embedding(c, q, background, window);
    y.par_chunks_mut(q * c).enumerate().for_each_init(
        || vec![0.0; q * taps],
        |patches, (i, y)| {
            let (map, row) = (i / q, i % q);
            for (col, patch) in patches.chunks_exact_mut(taps).enumerate() {
                // Taps `left..right` of a line see the image, the others its padding.
                let left = PADDING.saturating_sub(STRIDE * col);
                let right = KERNEL.min(side + PADDING - STRIDE * col);
                for (line, p) in patch.chunks_exact_mut(KERNEL).enumerate() {
                    let (plane, yy) = (line / KERNEL, STRIDE * row + line % KERNEL);
                    p.fill(0.0);
                    if (PADDING..side + PADDING).contains(&yy) {
                        let start = ((map * 3 + plane) * side + yy - PADDING) * side + STRIDE * col;
                        p[left..right].copy_from_slice(&x[start + left - PADDING..start + right - PADDING]);
                    }
                }
            }
            let embedding = &embedding[row * q * c..][..q * c];
            matrix_product(patches, taps, &weight, 0, Onto::Bias(bias), Then::Add(embedding), y);
        },
    );
}
