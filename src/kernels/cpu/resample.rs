//! Bilinear and bicubic interpolation, as PyTorch's `interpolate` defines them.

use rayon::prelude::*;

/// For each index along an axis of the output: two indices of the input and their weights.
struct Taps(Vec<[(usize, f32); 2]>);

impl Taps {
    /// Corners meet corners (`align_corners=True`).
    fn corners(from: usize, to: usize) -> Self {
        let scale = if to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { 0.0 };
        Self::at(from, to, |i| scale * i as f32)
    }

    /// Edges meet edges (`align_corners=False`).
    fn edges(from: usize, to: usize) -> Self {
        let scale = from as f32 / to as f32;
        Self::at(from, to, |i| (scale * (i as f32 + 0.5) - 0.5).max(0.0))
    }

    fn at(from: usize, to: usize, source: impl Fn(usize) -> f32) -> Self {
        Self(
            (0..to)
                .map(|i| {
                    let s = source(i);
                    let low = (s as usize).min(from - 1);
                    let high = (low + 1).min(from - 1);
                    let t = s - low as f32;
                    [(low, 1.0 - t), (high, t)]
                })
                .collect(),
        )
    }

    /// For each index of the input, the outputs that read it.
    fn readers(&self, from: usize) -> Vec<Vec<(usize, f32)>> {
        let mut readers = vec![Vec::new(); from];
        for (i, taps) in self.0.iter().enumerate() {
            for (source, weight) in taps {
                readers[*source].push((i, *weight));
            }
        }
        readers
    }
}

/// One row of a map `(from, from, c)` interpolated to `(to, to, c)`: fills the last `c` of every `pixel` numbers.
fn bilinear(taps: &Taps, from: usize, c: usize, x: &[f32], row_out: usize, out: &mut [f32], pixel: usize) {
    let [(y0, v0), (y1, v1)] = taps.0[row_out];
    let (top, bottom) = (&x[y0 * from * c..][..from * c], &x[y1 * from * c..][..from * c]);
    for (taps, out) in taps.0.iter().zip(out.chunks_exact_mut(pixel)) {
        let [(x0, w0), (x1, w1)] = *taps;
        for (ch, out) in out[pixel - c..].iter_mut().enumerate() {
            *out = v0 * (w0 * top[x0 * c + ch] + w1 * top[x1 * c + ch])
                + v1 * (w0 * bottom[x0 * c + ch] + w1 * bottom[x1 * c + ch]);
        }
    }
}

/// Adds the transpose of [`bilinear`]: `gx (from, from, c) += `, reading the last `c` of every `pixel` numbers.
fn bilinear_backward(taps: &Taps, from: usize, c: usize, gy: &[f32], pixel: usize, gx: &mut [f32]) {
    let to = taps.0.len();
    // Horizontally first: (to, from, c).
    let mut narrow = vec![0.0f32; to * from * c];
    narrow.par_chunks_mut(from * c).zip(gy.par_chunks(to * pixel)).for_each(|(narrow, gy)| {
        for (taps, g) in taps.0.iter().zip(gy.chunks_exact(pixel)) {
            for (source, weight) in taps {
                for (n, g) in narrow[source * c..][..c].iter_mut().zip(&g[pixel - c..]) {
                    *n += weight * g;
                }
            }
        }
    });
    let readers = taps.readers(from);
    gx.par_chunks_mut(from * c).zip(&readers).for_each(|(gx, readers)| {
        for (row, weight) in readers {
            for (g, n) in gx.iter_mut().zip(&narrow[row * from * c..][..from * c]) {
                *g += weight * n;
            }
        }
    });
}

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

/// The positional embedding of a `side x side` map, `(side, side, c)`: the background `(c, bg, bg)`
/// resized with bicubic interpolation (A = -0.75, edges meet edges), plus the window `(c, w, w)` as tiles.
pub fn position(c: usize, side: usize, background: &[f32], window: &[f32]) -> Vec<f32> {
    let bg = ((background.len() / c) as f64).sqrt().round() as usize;
    let w = ((window.len() / c) as f64).sqrt().round() as usize;
    let scale = bg as f32 / side as f32;
    let taps: Vec<[(usize, f32); 4]> = (0..side)
        .map(|i| {
            let source = scale * (i as f32 + 0.5) - 0.5;
            let (low, t) = (source.floor(), source - source.floor());
            let weights = [cubic_far(t + 1.0), cubic_near(t), cubic_near(1.0 - t), cubic_far(2.0 - t)];
            std::array::from_fn(|j| ((low as isize + j as isize - 1).clamp(0, bg as isize - 1) as usize, weights[j]))
        })
        .collect();
    let mut y = vec![0.0; side * side * c];
    y.par_chunks_mut(side * c).enumerate().for_each(|(i, row)| {
        let mut line = vec![0.0f32; bg];
        for ch in 0..c {
            let plane = &background[ch * bg * bg..][..bg * bg];
            for (x, line) in line.iter_mut().enumerate() {
                *line = taps[i].iter().map(|(y, v)| v * plane[y * bg + x]).sum();
            }
            for (x, taps) in taps.iter().enumerate() {
                let smooth: f32 = taps.iter().map(|(x, v)| v * line[*x]).sum();
                row[x * c + ch] = smooth + window[(ch * w + i % w) * w + x % w];
            }
        }
    });
    y
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
