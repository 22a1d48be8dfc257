//! Bilinear interpolation of maps, as PyTorch's `interpolate` defines it.

use rayon::prelude::*;

/// For each index along an axis of the output: two indices of the input and their weights.
pub struct Taps(Vec<[(usize, f32); 2]>);

impl Taps {
    /// Corners meet corners (`align_corners=True`).
    pub fn corners(from: usize, to: usize) -> Self {
        let scale = if to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { 0.0 };
        Self::at(from, to, |i| scale * i as f32)
    }

    /// Edges meet edges (`align_corners=False`).
    pub fn edges(from: usize, to: usize) -> Self {
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
pub fn bilinear(taps: &Taps, from: usize, c: usize, x: &[f32], row_out: usize, out: &mut [f32], pixel: usize) {
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
pub fn bilinear_backward(taps: &Taps, from: usize, c: usize, gy: &[f32], pixel: usize, gx: &mut [f32]) {
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
