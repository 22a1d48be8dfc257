//! Hiera's positional embedding (arXiv 2306.00989): a background resized with bicubic interpolation, and a window repeated.

use super::vector::rows::{add_assign, weighted_sum};
use crate::kernels::extent::Extent;
use rayon::prelude::*;

/// The positional embedding of a map of `extent`, `(height, width, c)`: the background `(c, bg, bg)` resized with bicubic
/// interpolation (A = -0.75, edges meet edges), plus the window `(c, w, w)` as tiles.
pub fn positional_embedding(c: usize, extent: Extent, background: &[f32], window: &[f32]) -> Vec<f32> {
    let bg = ((background.len() / c) as f64).sqrt().round() as usize;
    let w = ((window.len() / c) as f64).sqrt().round() as usize;
    let (rows, columns) = (bicubic_taps(bg, extent.height), bicubic_taps(bg, extent.width));
    let (background, window) = (by_pixel(background, c), by_pixel(window, c));
    let pixel = |side: usize, y: usize, x: usize| (y * side + x) * c..(y * side + x + 1) * c;
    let mut y = vec![0.0; extent.area() * c];
    y.par_chunks_mut(extent.width * c).enumerate().for_each_init(
        || vec![0.0; bg * c],
        |line, (i, row)| {
            for (x, line) in line.chunks_exact_mut(c).enumerate() {
                weighted_sum(rows[i].map(|(y, weight)| (&background[pixel(bg, y, x)], weight)), line);
            }
            for (x, (taps, row)) in columns.iter().zip(row.chunks_exact_mut(c)).enumerate() {
                weighted_sum(taps.map(|(x, weight)| (&line[x * c..][..c], weight)), row);
                add_assign(row, &window[pixel(w, i % w, x % w)]);
            }
        },
    );
    y
}

/// From `(c, pixels)` to `(pixels, c)`.
fn by_pixel(planes: &[f32], c: usize) -> Vec<f32> {
    let pixels = planes.len() / c;
    (0..planes.len()).map(|i| planes[i % c * pixels + i / c]).collect()
}

/// For each of `to` positions along an axis: four indices of the background's axis of length `from` and their weights.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    /// Keys' cubic kernel with A = -0.75, at any distance.
    fn cubic(distance: f64) -> f64 {
        let (a, d) = (-0.75, distance.abs());
        match d {
            d if d <= 1.0 => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
            d if d < 2.0 => a * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0),
            _ => 0.0,
        }
    }

    #[test]
    fn maps_of_any_size_agree_with_the_plain_twin() {
        let (c, bg, w) = (3, 7, 4);
        let (background, window) = (numbers(c * bg * bg, 1), numbers(c * w * w, 2));
        for (height, width) in [(7, 7), (16, 16), (6, 10), (5, 7), (20, 3)] {
            let got = positional_embedding(c, Extent { height, width }, &background, &window);
            assert_eq!(got.len(), height * width * c);
            // how much number `j` of the background's axis, which goes on with its last number, counts at place `i`
            let weight =
                |i: usize, j: isize, to: usize| cubic(bg as f64 / to as f64 * (i as f64 + 0.5) - 0.5 - j as f64);
            let along = -3..bg as isize + 3;
            let inside = |j: isize| j.clamp(0, bg as isize - 1) as usize;
            for (at, got) in got.iter().enumerate() {
                let (y, x, ch) = (at / c / width, at / c % width, at % c);
                let mut want = f64::from(window[(ch * w + y % w) * w + x % w]);
                for (i, j) in along.clone().flat_map(|i| along.clone().map(move |j| (i, j))) {
                    let number = background[(ch * bg + inside(i)) * bg + inside(j)];
                    want += weight(y, i, height) * weight(x, j, width) * f64::from(number);
                }
                assert!((f64::from(*got) - want).abs() < 1e-5, "{height} {width}, number {at}: {got}, twin {want}");
            }
        }
    }
}
