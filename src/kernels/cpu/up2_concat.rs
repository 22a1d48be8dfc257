//! The join of a decoder step: the deep map doubled (bilinear, corners on corners), beside the skip.

use super::bilinear::{Taps, bilinear, bilinear_backward};
use rayon::prelude::*;

/// `[skip, deep doubled]` along the channels: skip `(b, h, h, c)`, deep `(b, h/2, h/2, cd)`.
pub fn up2_concat([h, c, cd]: [usize; 3], skip: &[f32], deep: &[f32], y: &mut [f32]) {
    let taps = Taps::corners(h / 2, h);
    let (wide, map) = (c + cd, (h / 2) * (h / 2) * cd);
    y.par_chunks_mut(h * wide).zip(skip.par_chunks(h * c)).enumerate().for_each(|(row, (y, skip))| {
        for (y, skip) in y.chunks_exact_mut(wide).zip(skip.chunks_exact(c)) {
            y[..c].copy_from_slice(skip);
        }
        bilinear(&taps, h / 2, cd, &deep[row / h * map..][..map], row % h, y, wide);
    });
}

/// Adds to the gradients of skip and deep.
pub fn up2_concat_backward([h, c, cd]: [usize; 3], gy: &[f32], g_skip: &mut [f32], g_deep: &mut [f32]) {
    let taps = Taps::corners(h / 2, h);
    let wide = c + cd;
    g_skip.par_chunks_mut(h * c).zip(gy.par_chunks(h * wide)).for_each(|(g, gy)| {
        for (g, gy) in g.chunks_exact_mut(c).zip(gy.chunks_exact(wide)) {
            g.iter_mut().zip(gy).for_each(|(g, v)| *g += v);
        }
    });
    for (g, gy) in g_deep.chunks_mut((h / 2) * (h / 2) * cd).zip(gy.chunks(h * h * wide)) {
        bilinear_backward(&taps, h / 2, cd, gy, wide, g);
    }
}
