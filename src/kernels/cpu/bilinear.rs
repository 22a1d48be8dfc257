//! Bilinear interpolation of maps, as PyTorch's `interpolate` defines it.

use crate::kernels::extent::Extent;
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

/// Interpolation of maps of one size to another.
pub struct Bilinear {
    from: Extent,
    rows: Taps,
    columns: Taps,
}

impl Bilinear {
    /// Corners meet corners (`align_corners=True`).
    pub fn corners(from: Extent, to: Extent) -> Self {
        Self { from, rows: Taps::corners(from.height, to.height), columns: Taps::corners(from.width, to.width) }
    }

    /// Edges meet edges (`align_corners=False`).
    pub fn edges(from: Extent, to: Extent) -> Self {
        Self { from, rows: Taps::edges(from.height, to.height), columns: Taps::edges(from.width, to.width) }
    }

    /// Line `row` of the result of a map `x` with `c` channels: fills the last `c` of every `pixel` numbers.
    pub fn line(&self, x: &[f32], c: usize, row: usize, out: &mut [f32], pixel: usize) {
        let [(y0, v0), (y1, v1)] = self.rows.0[row];
        let line = self.from.width * c;
        let (top, bottom) = (&x[y0 * line..][..line], &x[y1 * line..][..line]);
        for (taps, out) in self.columns.0.iter().zip(out.chunks_exact_mut(pixel)) {
            let [(x0, w0), (x1, w1)] = *taps;
            for (ch, out) in out[pixel - c..].iter_mut().enumerate() {
                *out = v0 * (w0 * top[x0 * c + ch] + w1 * top[x1 * c + ch])
                    + v1 * (w0 * bottom[x0 * c + ch] + w1 * bottom[x1 * c + ch]);
            }
        }
    }

    /// Adds to the gradient `gx` of a map with `c` channels, reading the last `c` of every `pixel` numbers of `gy`.
    pub fn backward(&self, gy: &[f32], pixel: usize, gx: &mut [f32], c: usize) {
        let (line, to_height, to_width) = (self.from.width * c, self.rows.0.len(), self.columns.0.len());
        // Horizontally first: as high as the result, as wide as the map.
        let mut narrow = vec![0.0f32; to_height * line];
        narrow.par_chunks_mut(line).zip(gy.par_chunks(to_width * pixel)).for_each(|(narrow, gy)| {
            for (taps, g) in self.columns.0.iter().zip(gy.chunks_exact(pixel)) {
                for (source, weight) in taps {
                    for (n, g) in narrow[source * c..][..c].iter_mut().zip(&g[pixel - c..]) {
                        *n += weight * g;
                    }
                }
            }
        });
        let readers = self.rows.readers(self.from.height);
        gx.par_chunks_mut(line).zip(&readers).for_each(|(gx, readers)| {
            for (row, weight) in readers {
                for (g, n) in gx.iter_mut().zip(&narrow[row * line..][..line]) {
                    *g += weight * n;
                }
            }
        });
    }
}

#[cfg(test)]
pub mod tests {
    use crate::kernels::extent::Extent;

    /// The reference implementation along one axis, in double precision: the weight of each of `from` inputs in each of `to`
    /// outputs.
    fn weights(from: usize, to: usize, corners: bool) -> Vec<Vec<f64>> {
        let source = |i: usize| match corners {
            true if to == 1 => 0.0,
            true => i as f64 * (from - 1) as f64 / (to - 1) as f64,
            false => (from as f64 / to as f64 * (i as f64 + 0.5) - 0.5).clamp(0.0, (from - 1) as f64),
        };
        let weight = |i: usize, j: usize| (1.0 - (source(i) - j as f64).abs()).max(0.0);
        (0..to).map(|i| (0..from).map(|j| weight(i, j)).collect()).collect()
    }

    /// Calls `term` with a pixel of the result, a pixel of the map and the weight of the one in the other.
    pub fn each_term(from: Extent, to: Extent, corners: bool, mut term: impl FnMut(usize, usize, f64)) {
        let (rows, columns) = (weights(from.height, to.height, corners), weights(from.width, to.width, corners));
        for i in 0..to.area() {
            for j in 0..from.area() {
                let weight = rows[i / to.width][j / from.width] * columns[i % to.width][j % from.width];
                term(i, j, weight);
            }
        }
    }

    pub fn close(got: &[f32], want: &[f64], what: &str) {
        assert_eq!(got.len(), want.len());
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*g) - w).abs() < 5e-6 * (1.0 + w.abs()), "{what}, number {i}: {g}, twin {w}");
        }
    }
}
