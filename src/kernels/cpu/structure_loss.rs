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

/// `1 + 5 |box mean - mask|` of planes of `extent`; padding counts as zeros in the mean. Where `known` is 0, the weight
/// is, and the pixel counts in no mean.
pub fn weights(extent: Extent, mask: &[f32], known: Option<&[f32]>, y: &mut [f32]) {
    let (pixels, boxed) = (extent.area(), (BOX * BOX) as f64);
    let planes = mask.par_chunks(pixels).zip(y.par_chunks_mut(pixels));
    let Some(known) = known else {
        return planes.for_each(|(mask, y)| {
            for ((y, m), s) in y.iter_mut().zip(mask).zip(box_sums(mask, extent)) {
                *y = 1.0 + 5.0 * ((s / boxed) as f32 - m).abs();
            }
        });
    };
    // planes of the mask to each plane of what is known
    let sharing = mask.len() / known.len();
    planes.enumerate().for_each(|(plane, (mask, y))| {
        let known = &known[plane / sharing * pixels..][..pixels];
        let seen: Vec<f32> = mask.iter().zip(known).map(|(m, n)| if *n == 0.0 { 0.0 } else { *m }).collect();
        let ignored: Vec<f32> = known.iter().map(|n| if *n == 0.0 { 1.0 } else { 0.0 }).collect();
        let sums = box_sums(&seen, extent).into_iter().zip(box_sums(&ignored, extent));
        for (((y, m), n), (s, ignored)) in y.iter_mut().zip(mask).zip(known).zip(sums) {
            *y = if *n == 0.0 { 0.0 } else { 1.0 + 5.0 * ((s / (boxed - ignored)) as f32 - m).abs() };
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

/// Sums over the pixels of one plane that are not ignored.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Sum of what each pixel's cross-entropy counts: its weight, or 1.
    share: f64,
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
                    let share = if weighted { *w } else { 1.0 };
                    let counted = [share, share * entropy, w * p * m, w * (p + m)];
                    // what is ignored need be no number
                    for (partial, v) in partial.iter_mut().zip(counted) {
                        partial[i] += if *w == 0.0 { 0.0 } else { v };
                    }
                }
            }
            for (sum, partial) in sums.iter_mut().zip(&mut partial) {
                *sum += partial.iter().map(|v| f64::from(*v)).sum::<f64>();
                *partial = [0.0; LANES];
            }
        }
        sums
    }

    /// `gx += entropy_factor [w] (p - m) + w p (1 - p) (a m + b)`, and nothing where `w` is 0.
    fn add_gradient(x: &[f32], mask: &[f32], weight: &[f32], weighted: bool, factors: [f32; 3], gx: &mut [f32]) {
        let [entropy, a, b] = factors;
        for (((x, m), w), g) in x.iter().zip(mask).zip(weight).zip(gx) {
            let p = sigmoid(*x);
            let e = if weighted { entropy * w } else { entropy };
            let slope = e * (p - m) + w * p * (1.0 - p) * (a * m + b);
            *g += if *w == 0.0 { 0.0 } else { slope };
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
    for [share, entropy, intersection, total] in parts {
        all.share += share;
        all.entropy += entropy;
        all.intersection += intersection;
        all.total += total;
    }
    all
}

/// What each plane counts in the mean over images and, by weight, over classes.
#[derive(Clone, Copy)]
struct Shares<'a> {
    /// By class; `None` where all count the same.
    class_weights: Option<&'a [f32]>,
    /// The sum over all planes.
    total: f64,
}

impl<'a> Shares<'a> {
    fn new(class_weights: Option<&'a [f32]>, planes: usize) -> Self {
        let total = class_weights.map_or(planes as f64, |weights| {
            weights.iter().copied().map(f64::from).sum::<f64>() * (planes / weights.len()) as f64
        });
        Self { class_weights, total }
    }

    fn of(self, plane: usize) -> f64 {
        self.class_weights.map_or(1.0, |weights| f64::from(weights[plane % weights.len()]))
    }
}

/// 0 where there is nothing to divide by.
pub fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Planes of `pixels` numbers.
#[derive(Clone, Copy)]
pub struct Planes<'a> {
    /// How many numbers a plane has.
    pub pixels: usize,
    /// How the cross-entropy is averaged.
    pub cross_entropy: CrossEntropy,
    /// The logits.
    pub logits: &'a [f32],
    /// The mask.
    pub mask: &'a [f32],
    /// The pixels' weights.
    pub weights: &'a [f32],
    /// What the classes count.
    pub class_weights: Option<&'a [f32]>,
}

impl<'a> Planes<'a> {
    fn weighted(self) -> bool {
        self.cross_entropy == CrossEntropy::Weighted
    }

    fn shares(self) -> Shares<'a> {
        Shares::new(self.class_weights, self.logits.len() / self.pixels)
    }

    /// Each plane's logits, mask and weights.
    fn each(self) -> impl Iterator<Item = [&'a [f32]; 3]> {
        let [x, m, w] = [self.logits, self.mask, self.weights].map(|numbers| numbers.chunks(self.pixels));
        x.zip(m).zip(w).map(|((x, m), w)| [x, m, w])
    }
}

/// The loss, averaged over the planes.
pub fn forward(planes: Planes<'_>) -> f32 {
    let (weighted, shares) = (planes.weighted(), planes.shares());
    let mut loss = 0.0;
    for (plane, [x, m, w]) in planes.each().enumerate() {
        let s = plane_sums(x, m, w, weighted);
        let iou = (s.intersection + 1.0) / (s.total - s.intersection + 1.0);
        loss += shares.of(plane) * (ratio(s.entropy, s.share) + 1.0 - iou);
    }
    (loss / shares.total) as f32
}

/// Adds `g` times the gradient of [`forward`] with respect to the logits.
pub fn backward(planes: Planes<'_>, g: f32, gx: &mut [f32]) {
    let (weighted, shares) = (planes.weighted(), planes.shares());
    for ((plane, [x, m, w]), gx) in planes.each().enumerate().zip(gx.chunks_mut(planes.pixels)) {
        let s = plane_sums(x, m, w, weighted);
        let g = f64::from(g) * shares.of(plane) / shares.total;
        // -d/dp (I + 1) / (T - I + 1), with dI = w m dp and dT = w dp
        let (n, d) = (s.intersection + 1.0, s.total - s.intersection + 1.0);
        let factors = [ratio(g, s.share), -g * (d + n) / (d * d), g * n / (d * d)].map(|v| v as f32);
        gx.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .zip(m.par_chunks(CHUNK))
            .zip(w.par_chunks(CHUNK))
            .for_each(|(((gx, x), m), w)| add_gradient(x, m, w, weighted, factors, gx));
    }
}

impl StructureLossKernel for Cpu {
    fn loss_weights(&self, plane: Extent, mask: &Buffer, known: Option<&Buffer>, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Loss, 0);
        weights(plane, mask, known.map(|known| &**known), y);
        Ok(())
    }

    fn structure_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        let (pixels, class_weights) = (plane.area(), class_weights.map(|weights| &**weights));
        y[0] = forward(Planes { pixels, cross_entropy, logits, mask, weights, class_weights });
        Ok(())
    }

    fn structure_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        gy: &Buffer,
        gx: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        let (pixels, class_weights) = (plane.area(), class_weights.map(|weights| &**weights));
        backward(Planes { pixels, cross_entropy, logits, mask, weights, class_weights }, gy[0], gx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    const EXTENTS: [(usize, usize); 4] = [(40, 40), (5, 70), (50, 33), (6, 10)];
    const CLASSES: usize = 3;
    const CLASS_WEIGHTS: [f32; CLASSES] = [0.5, 2.0, 0.0];

    fn mask(length: usize) -> Vec<f32> {
        (0..length).map(|i| f32::from(i * 7919 % 101 > 60)).collect()
    }

    /// What is known of so many planes; the second is ignored throughout.
    fn known(planes: usize, pixels: usize) -> Vec<f32> {
        (0..planes * pixels).map(|i| f32::from(i / pixels != 1 && i * 31 % 17 > 4)).collect()
    }

    /// The reference implementation: the weights of one plane.
    fn weights_twin(Extent { height, width }: Extent, mask: &[f32], known: &[f32]) -> Vec<f64> {
        let around = |at: usize, length: usize| at.saturating_sub(BOX / 2)..(at + BOX / 2 + 1).min(length);
        let weight = |i: usize| {
            let window =
                || around(i / width, height).flat_map(|y| around(i % width, width).map(move |x| y * width + x));
            let sum: f64 = window().filter(|i| known[*i] != 0.0).map(|i| f64::from(mask[i])).sum();
            let ignored = window().filter(|i| known[*i] == 0.0).count();
            1.0 + 5.0 * (sum / (BOX * BOX - ignored) as f64 - f64::from(mask[i])).abs()
        };
        (0..mask.len()).map(|i| if known[i] == 0.0 { 0.0 } else { weight(i) }).collect()
    }

    #[test]
    fn weights_of_planes_of_any_size_agree_with_the_plain_twin() {
        for (height, width) in EXTENTS {
            let extent = Extent { height, width };
            let (pixels, planes) = (extent.area(), 2 * CLASSES);
            let mask = mask(planes * pixels);
            let all = vec![1.0; planes * pixels];
            for (known, kept) in [(None, &all), (Some(1), &known(2, pixels)), (Some(CLASSES), &known(planes, pixels))] {
                let mut got = vec![f32::NAN; mask.len()];
                weights(extent, &mask, known.map(|_| &**kept), &mut got);
                for plane in 0..planes {
                    let range = plane * pixels..(plane + 1) * pixels;
                    let first = if known == Some(1) { plane / CLASSES } else { plane } * pixels;
                    let twin = weights_twin(extent, &mask[range.clone()], &kept[first..first + pixels]);
                    for (at, (got, want)) in got[range].iter().zip(twin).enumerate() {
                        let error = (f64::from(*got) - want).abs();
                        assert!(error < 2e-6, "{extent:?}, plane {plane}, number {at}: {got}, twin {want}");
                        assert_eq!(*got == 0.0, want == 0.0, "{extent:?}, plane {plane}, number {at}");
                    }
                }
            }
        }
    }

    /// The reference implementation: the loss of one plane.
    fn twin(x: &[f64], mask: &[f32], weight: &[f32], cross_entropy: CrossEntropy) -> f64 {
        let (mut entropy, mut weights, mut intersection, mut total) = (0.0, 0.0, 0.0, 0.0);
        for ((x, m), w) in x.iter().zip(mask).zip(weight).filter(|(_, w)| **w != 0.0) {
            let (m, w, p) = (f64::from(*m), f64::from(*w), 1.0 / (1.0 + (-x).exp()));
            let v = if cross_entropy == CrossEntropy::Weighted { w } else { 1.0 };
            entropy -= v * (m * p.ln() + (1.0 - m) * (1.0 - p).ln());
            weights += v;
            intersection += w * p * m;
            total += w * (p + m);
        }
        ratio(entropy, weights) + 1.0 - (intersection + 1.0) / (total - intersection + 1.0)
    }

    fn agrees_with_the_twin(extent: Extent, cross_entropy: CrossEntropy, ignores: bool, weighs: bool) {
        let what = format!("{extent:?} {cross_entropy:?}, ignored pixels {ignores}, class weights {weighs}");
        let (pixels, planes) = (extent.area(), 2 * CLASSES);
        let (x, mask) = (numbers(planes * pixels, 1), mask(planes * pixels));
        let mut weight = vec![f32::NAN; mask.len()];
        weights(extent, &mask, ignores.then(|| known(planes, pixels)).as_deref(), &mut weight);
        let class_weights = if weighs { &CLASS_WEIGHTS } else { &[1.0; CLASSES] };
        let whole: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        let of_plane = |plane: usize, x: &[f64]| {
            let (range, all) = (plane * pixels..(plane + 1) * pixels, class_weights.iter().sum::<f32>());
            let share = f64::from(class_weights[plane % CLASSES] / all) / 2.0;
            share * twin(x, &mask[range.clone()], &weight[range], cross_entropy)
        };
        let want: f64 = whole.chunks(pixels).enumerate().map(|(plane, x)| of_plane(plane, x)).sum();
        let class_weights = weighs.then_some(&CLASS_WEIGHTS[..]);
        let planes = Planes { pixels, cross_entropy, logits: &x, mask: &mask, weights: &weight, class_weights };
        let got = forward(planes);
        assert!((f64::from(got) - want).abs() < 1e-6 * want.abs(), "{what}: {got}, twin {want}");
        let mut gx = vec![0.25; x.len()];
        backward(planes, 2.0, &mut gx);
        for at in (0..x.len()).step_by(37) {
            let plane = at / pixels;
            let mut moved = whole[plane * pixels..(plane + 1) * pixels].to_vec();
            let mut side = |step: f64| {
                moved[at % pixels] = whole[at] + step;
                of_plane(plane, &moved)
            };
            let slope = (side(1e-4) - side(-1e-4)) / 2e-4;
            let error = (f64::from(gx[at]) - 0.25 - 2.0 * slope).abs();
            assert!(error < 1e-7 + 1e-4 * slope.abs(), "{what}, number {at}: {error} of {slope}");
        }

        // what is ignored may be anything
        let spoilt = |numbers: &[f32]| -> Vec<f32> {
            numbers.iter().zip(&weight).map(|(v, w)| if *w == 0.0 { f32::NAN } else { *v }).collect()
        };
        let (x, mask) = (spoilt(&x), spoilt(&mask));
        let planes = Planes { logits: &x, mask: &mask, ..planes };
        assert_eq!(forward(planes).to_bits(), got.to_bits(), "{what}");
        let mut again = vec![0.25; x.len()];
        backward(planes, 2.0, &mut again);
        assert_eq!(again, gx, "{what}");
    }

    #[test]
    fn losses_of_planes_of_any_size_agree_with_the_plain_twin() {
        for (height, width) in EXTENTS {
            for cross_entropy in [CrossEntropy::Weighted, CrossEntropy::Plain] {
                for (ignores, weighs) in [(false, false), (true, false), (false, true), (true, true)] {
                    agrees_with_the_twin(Extent { height, width }, cross_entropy, ignores, weighs);
                }
            }
        }
    }

    #[test]
    fn planes_all_of_whose_pixels_are_ignored_have_no_loss() {
        let (x, mask, weights) = (numbers(60, 1), mask(60), vec![0.0; 60]);
        for cross_entropy in [CrossEntropy::Weighted, CrossEntropy::Plain] {
            let (logits, class_weights) = (&x[..], None);
            let planes = Planes { pixels: 30, cross_entropy, logits, mask: &mask, weights: &weights, class_weights };
            assert_eq!(forward(planes), 0.0);
            let mut gx = vec![0.25; 60];
            backward(planes, 2.0, &mut gx);
            assert_eq!(gx, [0.25; 60]);
        }
    }

    /// What these kernels gave before they knew of ignored pixels and class weights.
    #[test]
    fn planes_in_which_nothing_is_ignored_give_the_bits_that_they_gave() {
        const GAVE: [[u64; 3]; 2] = [
            [0x403c_cd4b, 0xdd0d_fdd2_4aee_dc65, 0x45df_3445_4137_8552],
            [0x403c_bfa9, 0xdd0d_fdd2_4aee_dc65, 0xe01a_2603_f06b_051b],
        ];
        let extent = Extent { height: 50, width: 33 };
        let (pixels, n) = (extent.area(), 3 * extent.area());
        let x: Vec<f32> = numbers(n, 1).iter().map(|v| 9.0 * v).collect();
        let mask: Vec<f32> = (0..n).map(|i| ((i % 33) as f32 / 16.0 - 0.5).clamp(0.0, 1.0)).collect();
        let bits = |numbers: &[f32]| {
            let bytes = numbers.iter().flat_map(|v| v.to_le_bytes());
            bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
        };
        for (known, class_weights) in [(None, None), (Some(vec![1.0; n]), Some(&[2.0_f32; 3][..]))] {
            let mut weight = vec![f32::NAN; n];
            weights(extent, &mask, known.as_deref(), &mut weight);
            let found = [CrossEntropy::Weighted, CrossEntropy::Plain].map(|cross_entropy| {
                let planes = Planes { pixels, cross_entropy, logits: &x, mask: &mask, weights: &weight, class_weights };
                let mut gx = vec![0.25; n];
                backward(planes, 0.7, &mut gx);
                [u64::from(forward(planes).to_bits()), bits(&weight), bits(&gx)]
            });
            assert_eq!(found, GAVE, "{class_weights:?}: {found:#x?}");
        }
    }
}
