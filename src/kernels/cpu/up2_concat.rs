//! The join of a decoder step: the deep map doubled (bilinear, corners on corners), beside the skip.

use super::bilinear::Bilinear;
use crate::kernels::extent::Extent;
use rayon::prelude::*;

/// `[skip, deep doubled]` along the channels: skip `(b, h, w, c)` of extent `h x w`, both even; deep `(b, h/2, w/2, cd)`.
pub fn up2_concat(extent: Extent, [c, cd]: [usize; 2], skip: &[f32], deep: &[f32], y: &mut [f32]) {
    let Extent { height, width } = extent;
    let bilinear = Bilinear::corners(extent.halved(), extent);
    let (pixel, map) = (c + cd, extent.halved().area() * cd);
    y.par_chunks_mut(width * pixel).zip(skip.par_chunks(width * c)).enumerate().for_each(|(row, (y, skip))| {
        for (y, skip) in y.chunks_exact_mut(pixel).zip(skip.chunks_exact(c)) {
            y[..c].copy_from_slice(skip);
        }
        bilinear.line(&deep[row / height * map..][..map], cd, row % height, y, pixel);
    });
}

/// Adds to the gradients of skip and deep.
pub fn up2_concat_backward(extent: Extent, [c, cd]: [usize; 2], gy: &[f32], g_skip: &mut [f32], g_deep: &mut [f32]) {
    let bilinear = Bilinear::corners(extent.halved(), extent);
    let pixel = c + cd;
    g_skip.par_chunks_mut(extent.width * c).zip(gy.par_chunks(extent.width * pixel)).for_each(|(g, gy)| {
        for (g, gy) in g.chunks_exact_mut(c).zip(gy.chunks_exact(pixel)) {
            g.iter_mut().zip(gy).for_each(|(g, v)| *g += v);
        }
    });
    for (g, gy) in g_deep.chunks_mut(extent.halved().area() * cd).zip(gy.chunks(extent.area() * pixel)) {
        bilinear.backward(gy, pixel, g, cd);
    }
}
