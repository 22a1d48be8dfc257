//! Weighted cross-entropy plus weighted IoU over planes of logits.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use super::vector::dispatch::vectorised;
use super::vector::math::{sigmoid, softplus};
use crate::kernels::extent::Extent;
use crate::kernels::profile::{Kind, scope};
use crate::kernels::structure_loss::{CrossEntropy, StructureLossKernel};
use rayon::prelude::*;

/// Side of the box whose mean finds edges.
const BOX: usize = 31;
/// Numbers summed by one task: fixed, so that the result does not depend on the number of threads.
const CHUNK: usize = 8192;

/// `1 + 5 |box mean - mask|` of planes of `extent`; padding counts as zeros in the mean.
pub fn weights(extent: Extent, mask: &[f32], y: &mut [f32]) {
    mask.par_chunks(extent.area()).zip(y.par_chunks_mut(extent.area())).for_each(|(mask, y)| {
        let sums = box_sums(mask, extent);
        for ((y, m), s) in y.iter_mut().zip(mask).zip(sums) {
            *y = 1.0 + 5.0 * ((s / (BOX * BOX) as f64) as f32 - m).abs();
        }
    });
}

/// Sums over 31x31 boxes by running sums, first along rows, then along columns.
fn box_sums(plane: &[f32], extent: Extent) -> Vec<f64> {
    let Extent { height, width } = extent;
    let radius = BOX / 2;
    let along = |length: usize, get: &dyn Fn(usize) -> f64, put: &mut dyn FnMut(usize, f64)| {
        let mut sum: f64 = (0..radius.min(length)).map(get).sum();
        for i in 0..length {
            if i + radius < length {
                sum += get(i + radius);
            }
            put(i, sum);
            if i >= radius {
                sum -= get(i - radius);
            }
        }
    };
    let mut rows = vec![0.0; height * width];
    for (row, out) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        along(width, &|i| f64::from(row[i]), &mut |i, v| out[i] = v);
    }
    let mut sums = vec![0.0; height * width];
    for x in 0..width {
        along(height, &|i| rows[i * width + x], &mut |i, v| sums[i * width + x] = v);
    }
    sums
}

/// Sums over one plane.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Sum of the weights.
    weight: f64,
    /// Sum of the cross-entropy, weighted if the loss asks for it.
    entropy: f64,
    /// Sum of `w p m`.
    intersection: f64,
    /// Sum of `w (p + m)`.
    total: f64,
}

vectorised! {
    fn sums(x: &[f32], mask: &[f32], weight: &[f32], weighted: bool) -> [f64; 4] {
        const LANES: usize = 16;
        let mut partial = [[0.0f32; LANES]; 4];
        let mut sums = [0.0f64; 4];
        // A block's partial sums stay in single precision; blocks are added in double.
        for ((x, m), w) in x.chunks(256).zip(mask.chunks(256)).zip(weight.chunks(256)) {
            for ((x, m), w) in x.chunks(LANES).zip(m.chunks(LANES)).zip(w.chunks(LANES)) {
                for (i, ((x, m), w)) in x.iter().zip(m).zip(w).enumerate() {
                    let p = sigmoid(*x);
                    let entropy = softplus(*x) - x * m;
                    partial[0][i] += w;
                    partial[1][i] += if weighted { w * entropy } else { entropy };
                    partial[2][i] += w * p * m;
                    partial[3][i] += w * (p + m);
                }
            }
            for (sum, partial) in sums.iter_mut().zip(&mut partial) {
                *sum += partial.iter().map(|v| f64::from(*v)).sum::<f64>();
                *partial = [0.0; LANES];
            }
        }
        sums
    }

    /// `gx += entropy_factor [w] (p - m) + w p (1 - p) (a m + b)`.
    fn add_gradient(x: &[f32], mask: &[f32], weight: &[f32], weighted: bool, factors: [f32; 3], gx: &mut [f32]) {
        let [entropy, a, b] = factors;
        for (((x, m), w), g) in x.iter().zip(mask).zip(weight).zip(gx) {
            let p = sigmoid(*x);
            let e = if weighted { entropy * w } else { entropy };
            *g += e * (p - m) + w * p * (1.0 - p) * (a * m + b);
        }
    }
}

fn plane_sums(x: &[f32], mask: &[f32], weight: &[f32], weighted: bool) -> Sums {
    let parts: Vec<[f64; 4]> = x
        .par_chunks(CHUNK)
        .zip(mask.par_chunks(CHUNK))
        .zip(weight.par_chunks(CHUNK))
        .map(|((x, m), w)| sums(x, m, w, weighted))
        .collect();
    let mut all = Sums::default();
    for [weight, entropy, intersection, total] in parts {
        all.weight += weight;
        all.entropy += entropy;
        all.intersection += intersection;
        all.total += total;
    }
    all
}

/// The loss of planes of `pixels` logits, averaged over the planes.
pub fn forward(pixels: usize, x: &[f32], mask: &[f32], weight: &[f32], cross_entropy: CrossEntropy) -> f32 {
    let weighted = cross_entropy == CrossEntropy::Weighted;
    let planes = x.len() / pixels;
    let mut loss = 0.0;
    for ((x, m), w) in x.chunks(pixels).zip(mask.chunks(pixels)).zip(weight.chunks(pixels)) {
        let s = plane_sums(x, m, w, weighted);
        let entropy = s.entropy / if weighted { s.weight } else { pixels as f64 };
        let iou = (s.intersection + 1.0) / (s.total - s.intersection + 1.0);
        loss += entropy + 1.0 - iou;
    }
    (loss / planes as f64) as f32
}

/// Adds `g` times the gradient of [`forward`] with respect to the logits.
pub fn backward(
    pixels: usize,
    x: &[f32],
    mask: &[f32],
    weight: &[f32],
    cross_entropy: CrossEntropy,
    g: f32,
    gx: &mut [f32],
) {
    let weighted = cross_entropy == CrossEntropy::Weighted;
    let g = f64::from(g) / (x.len() / pixels) as f64;
    for (((x, m), w), gx) in
        x.chunks(pixels).zip(mask.chunks(pixels)).zip(weight.chunks(pixels)).zip(gx.chunks_mut(pixels))
    {
        let s = plane_sums(x, m, w, weighted);
        let entropy = g / if weighted { s.weight } else { pixels as f64 };
        // -d/dp (I + 1) / (T - I + 1), with dI = w m dp and dT = w dp
        let (n, d) = (s.intersection + 1.0, s.total - s.intersection + 1.0);
        let factors = [entropy, -g * (d + n) / (d * d), g * n / (d * d)].map(|v| v as f32);
        gx.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .zip(m.par_chunks(CHUNK))
            .zip(w.par_chunks(CHUNK))
            .for_each(|(((gx, x), m), w)| add_gradient(x, m, w, weighted, factors, gx));
    }
}

impl StructureLossKernel for Cpu {
    fn loss_weights(&self, plane: Extent, mask: &Buffer, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Loss, 0);
        weights(plane, mask, y);
        Ok(())
    }

    fn structure_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        y[0] = forward(plane.area(), logits, mask, weights, cross_entropy);
        Ok(())
    }

    fn structure_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        gy: &Buffer,
        gx: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        backward(plane.area(), logits, mask, weights, cross_entropy, gy[0], gx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    const EXTENTS: [(usize, usize); 4] = [(40, 40), (5, 70), (50, 33), (6, 10)];

    fn mask(length: usize) -> Vec<f32> {
        (0..length).map(|i| f32::from(i * 7919 % 101 > 60)).collect()
    }

    #[test]
    fn weights_of_planes_of_any_size_agree_with_the_plain_twin() {
        for (height, width) in EXTENTS {
            let (extent, radius) = (Extent { height, width }, BOX / 2);
            let mask = mask(2 * extent.area());
            let mut got = vec![f32::NAN; mask.len()];
            weights(extent, &mask, &mut got);
            for (at, got) in got.iter().enumerate() {
                let (plane, y, x) = (at / extent.area(), at / width % height, at % width);
                let lines = y.saturating_sub(radius)..(y + radius + 1).min(height);
                let sum: f64 = lines
                    .flat_map(|y| (x.saturating_sub(radius)..(x + radius + 1).min(width)).map(move |x| (y, x)))
                    .map(|(y, x)| f64::from(mask[plane * extent.area() + y * width + x]))
                    .sum();
                let want = 1.0 + 5.0 * (sum / (BOX * BOX) as f64 - f64::from(mask[at])).abs();
                assert!((f64::from(*got) - want).abs() < 2e-6, "{extent:?}, number {at}: {got}, twin {want}");
            }
        }
    }

    /// The reference implementation: the loss of one plane.
    fn twin(x: &[f64], mask: &[f32], weight: &[f32], cross_entropy: CrossEntropy) -> f64 {
        let (mut entropy, mut weights, mut intersection, mut total) = (0.0, 0.0, 0.0, 0.0);
        for ((x, m), w) in x.iter().zip(mask).zip(weight) {
            let (m, w, p) = (f64::from(*m), f64::from(*w), 1.0 / (1.0 + (-x).exp()));
            let v = if cross_entropy == CrossEntropy::Weighted { w } else { 1.0 };
            entropy -= v * (m * p.ln() + (1.0 - m) * (1.0 - p).ln());
            weights += v;
            intersection += w * p * m;
            total += w * (p + m);
        }
        entropy / weights + 1.0 - (intersection + 1.0) / (total - intersection + 1.0)
    }

    #[test]
    fn losses_of_planes_of_any_size_agree_with_the_plain_twin() {
        for ((height, width), cross_entropy) in
            EXTENTS.into_iter().flat_map(|extent| [CrossEntropy::Weighted, CrossEntropy::Plain].map(|c| (extent, c)))
        {
            let extent = Extent { height, width };
            let (pixels, planes) = (extent.area(), 3);
            let (x, mask) = (numbers(planes * pixels, 1), mask(planes * pixels));
            let mut weight = vec![f32::NAN; mask.len()];
            weights(extent, &mask, &mut weight);
            let whole: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
            let of_plane = |plane: usize, x: &[f64]| {
                let range = plane * pixels..(plane + 1) * pixels;
                twin(x, &mask[range.clone()], &weight[range], cross_entropy) / planes as f64
            };
            let want: f64 = whole.chunks(pixels).enumerate().map(|(plane, x)| of_plane(plane, x)).sum();
            let got = forward(pixels, &x, &mask, &weight, cross_entropy);
            assert!(
                (f64::from(got) - want).abs() < 1e-6 * want.abs(),
                "{extent:?} {cross_entropy:?}: {got}, twin {want}"
            );
            let mut gx = vec![0.25; x.len()];
            backward(pixels, &x, &mask, &weight, cross_entropy, 2.0, &mut gx);
            for at in (0..x.len()).step_by(37) {
                let plane = at / pixels;
                let mut moved = whole[plane * pixels..(plane + 1) * pixels].to_vec();
                let mut side = |step: f64| {
                    moved[at % pixels] = whole[at] + step;
                    of_plane(plane, &moved)
                };
                let slope = (side(1e-4) - side(-1e-4)) / 2e-4;
                let error = (f64::from(gx[at]) - 0.25 - 2.0 * slope).abs();
                assert!(
                    error < 1e-7 + 1e-4 * slope.abs(),
                    "{extent:?} {cross_entropy:?}, number {at}: {error} of {slope}"
                );
            }
        }
    }
}
