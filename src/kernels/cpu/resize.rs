//! A head's map at the image's side (bilinear, edges on edges), class by class.

use super::bilinear::{Taps, bilinear, bilinear_backward};
use rayon::prelude::*;

/// `(b, h, h, k)` to `(b, k, side, side)`.
pub fn resize([h, side, k]: [usize; 3], x: &[f32], y: &mut [f32]) {
    let taps = Taps::edges(h, side);
    let planes = to_planes(x, h * h, k);
    y.par_chunks_mut(side).enumerate().for_each(|(row, y)| {
        bilinear(&taps, h, 1, &planes[row / side * h * h..][..h * h], row % side, y, 1);
    });
}

/// Adds to the gradient of [`resize`]'s input.
pub fn resize_backward([h, side, k]: [usize; 3], gy: &[f32], gx: &mut [f32]) {
    let taps = Taps::edges(h, side);
    let mut planes = vec![0.0; gx.len()];
    for (g, gy) in planes.chunks_mut(h * h).zip(gy.chunks(side * side)) {
        bilinear_backward(&taps, h, 1, gy, 1, g);
    }
    for (gx, planes) in gx.chunks_mut(h * h * k).zip(planes.chunks(h * h * k)) {
        for (i, g) in gx.iter_mut().enumerate() {
            *g += planes[i % k * h * h + i / k];
        }
    }
}

/// `(b, pixels, k)` to `(b, k, pixels)`.
fn to_planes(x: &[f32], pixels: usize, k: usize) -> Vec<f32> {
    let mut planes = vec![0.0; x.len()];
    for (x, planes) in x.chunks(pixels * k).zip(planes.chunks_mut(pixels * k)) {
        for (i, v) in x.iter().enumerate() {
            planes[i % k * pixels + i / k] = *v;
        }
    }
    planes
}
