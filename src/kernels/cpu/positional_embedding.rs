//! Hiera's positional embedding (arXiv 2306.00989): a background resized with bicubic interpolation, and a window repeated.

use crate::kernels::extent::Extent;
use rayon::prelude::*;

/// The positional embedding of a map of `extent`, `(height, width, c)`: the background `(c, bg, bg)` resized with bicubic
/// interpolation (A = -0.75, edges meet edges), plus the window `(c, w, w)` as tiles.
pub fn positional_embedding(c: usize, extent: Extent, background: &[f32], window: &[f32]) -> Vec<f32> {
    let bg = ((background.len() / c) as f64).sqrt().round() as usize;
    let w = ((window.len() / c) as f64).sqrt().round() as usize;
    let (rows, columns) = (bicubic_taps(bg, extent.height), bicubic_taps(bg, extent.width));
    let mut y = vec![0.0; extent.area() * c];
    y.par_chunks_mut(extent.width * c).enumerate().for_each(|(i, row)| {
        let mut line = vec![0.0f32; bg];
        for ch in 0..c {
            let plane = &background[ch * bg * bg..][..bg * bg];
            for (x, line) in line.iter_mut().enumerate() {
                *line = rows[i].iter().map(|(y, v)| v * plane[y * bg + x]).sum();
            }
            for (x, taps) in columns.iter().enumerate() {
                let smooth: f32 = taps.iter().map(|(x, v)| v * line[*x]).sum();
                row[x * c + ch] = smooth + window[(ch * w + i % w) * w + x % w];
            }
        }
    });
    y
}

/// For each of `to` places along an axis: four indices of the background's axis of length `from` and their weights.
fn bicubic_taps(from: usize, to: usize) -> Vec<[(usize, f32); 4]> {
    let scale = from as f32 / to as f32;
    let at = |i: usize| {
        let source = scale * (i as f32 + 0.5) - 0.5;
        let (low, t) = (source.floor(), source - source.floor());
        let weights = [cubic_far(t + 1.0), cubic_near(t), cubic_near(1.0 - t), cubic_far(2.0 - t)];
        std::array::from_fn(|j| ((low as isize + j as isize - 1).clamp(0, from as isize - 1) as usize, weights[j]))
    };
    (0..to).map(at).collect()
}

/// Keys' cubic kernel for distances up to 1.
fn cubic_near(t: f32) -> f32 {
    const A: f32 = -0.75;
    ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0
}

/// Keys' cubic kernel for distances from 1 to 2.
fn cubic_far(t: f32) -> f32 {
    const A: f32 = -0.75;
    ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A
}
