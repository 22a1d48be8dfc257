//! The loss of classes that exclude each other. Formulas and names are those of `kernels/exclusive_loss.rs`.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use super::structure_loss::ratio;
use super::vector::dispatch::vectorised;
use super::vector::math::{exp, ln};
use crate::kernels::exclusive_loss::{ExclusiveLossKernel, IGNORED};
use crate::kernels::extent::Extent;
use crate::kernels::profile::{Kind, scope};
use crate::kernels::structure_loss::CrossEntropy;
use rayon::prelude::*;

/// How far the 31x31 pixels around one reach.
const RADIUS: usize = 15;
/// Pixels of an image that are one task: fixed, so that the result does not depend on the number of threads.
const CHUNK: usize = 8192;
/// Pixels whose probabilities are held at once.
const TILE: usize = 256;
/// Numbers that are summed side by side.
const LANES: usize = 16;

/// The weights of the pixels of one image.
///
/// For each column and class the pixels within the window's rows are counted, and these counts are brought up to date
/// from row to row; a pixel adds up those of its own class. So the work does not depend on the number of classes, and
/// counts are exact.
fn image_weights(Extent { height, width }: Extent, classes: usize, index: &[f32], y: &mut [f32]) {
    // what is none becomes `IGNORED`: a cast keeps within a byte's range
    let class = |v: &f32| if *v >= 0.0 && *v < classes as f32 { *v as u8 } else { IGNORED };
    let index: Vec<u8> = index.iter().map(class).collect();
    // a window has 31 rows
    let mut counts = vec![0u8; classes * width];
    let mut labelled = vec![0u8; width];
    let row = |line: usize| index[line * width..][..width].iter().enumerate().filter(|(_, class)| **class != IGNORED);
    let enter = |line: usize, counts: &mut [u8], labelled: &mut [u8]| {
        for (x, class) in row(line) {
            counts[usize::from(*class) * width + x] += 1;
            labelled[x] += 1;
        }
    };
    let leave = |line: usize, counts: &mut [u8], labelled: &mut [u8]| {
        for (x, class) in row(line) {
            counts[usize::from(*class) * width + x] -= 1;
            labelled[x] -= 1;
        }
    };
    let sum = |counts: &[u8]| counts.iter().map(|n| u32::from(*n)).sum::<u32>();
    for line in 0..RADIUS.min(height) {
        enter(line, &mut counts, &mut labelled);
    }
    for (line, y) in y.chunks_exact_mut(width).enumerate() {
        if line + RADIUS < height {
            enter(line + RADIUS, &mut counts, &mut labelled);
        }
        y.fill(0.0);
        for (x, class) in row(line) {
            let around = x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(width);
            let own = sum(&counts[usize::from(*class) * width..][around.clone()]);
            let share = f64::from(own) / f64::from(sum(&labelled[around]));
            y[x] = (1.0 + 5.0 * (1.0 - share)) as f32;
        }
        if line >= RADIUS {
            leave(line - RADIUS, &mut counts, &mut labelled);
        }
    }
}

/// Sums over the pixels of an image that are not ignored, for one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    /// Of the class's pixels, `w`: above 0 if the image shows the class.
    weight: f64,
    /// Of the class's pixels, `w` or 1, by which their cross-entropy counts.
    share: f64,
    /// Of the class's pixels, the cross-entropy by its share.
    entropy: f64,
    /// Of the class's pixels, `w p`.
    intersection: f64,
    /// Of all pixels, `w p`.
    probability: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.weight += other.weight;
        self.share += other.share;
        self.entropy += other.entropy;
        self.intersection += other.intersection;
        self.probability += other.probability;
    }

    /// `N` and `D` of the soft IoU.
    fn fraction(self) -> [f64; 2] {
        let union = self.probability + self.weight - self.intersection;
        [self.intersection + 1.0, union + 1.0]
    }
}

/// Of a softmax over the classes the largest logit of each pixel, and the logarithm of the sum of `e` to the others
/// less it.
struct Scales {
    largest: [f32; TILE],
    log: [f32; TILE],
}

vectorised! {
    /// The probabilities `(classes, TILE)` of up to [`TILE`] pixels from `start` on, of logits `(classes, pixels)`.
    fn softmax(logits: &[f32], pixels: usize, start: usize, length: usize, p: &mut [f32], scales: &mut Scales) {
        let planes = || logits.chunks_exact(pixels).map(|plane| &plane[start..start + length]);
        let Scales { largest, log } = scales;
        largest[..length].copy_from_slice(&logits[start..start + length]);
        for x in planes() {
            for (largest, x) in largest.iter_mut().zip(x) {
                *largest = if *x > *largest { *x } else { *largest };
            }
        }
        let mut sum = [0.0f32; TILE];
        for (x, p) in planes().zip(p.chunks_exact_mut(TILE)) {
            for (((p, x), largest), sum) in p.iter_mut().zip(x).zip(&*largest).zip(&mut sum) {
                *p = exp(x - largest);
                *sum += *p;
            }
        }
        for (log, sum) in log[..length].iter_mut().zip(&mut sum) {
            *log = ln(*sum);
            *sum = 1.0 / *sum;
        }
        for p in p.chunks_exact_mut(TILE) {
            for (p, share) in p[..length].iter_mut().zip(&sum) {
                *p *= share;
            }
        }
    }

    /// The sums over up to [`TILE`] pixels for one class.
    fn tile_sums(
        x: &[f32], p: &[f32], scales: &Scales, index: &[f32], weight: &[f32], class: f32, weighted: bool
    ) -> Sums {
        let mut partial = [[0.0f32; LANES]; 5];
        let tile = x.chunks(LANES).zip(p.chunks(LANES)).zip(index.chunks(LANES)).zip(weight.chunks(LANES));
        for ((((x, p), index), w), (largest, log)) in
            tile.zip(scales.largest.chunks(LANES).zip(scales.log.chunks(LANES)))
        {
            for (i, (((x, p), index), w)) in x.iter().zip(p).zip(index).zip(w).enumerate() {
                let entropy = (largest[i] - x) + log[i];
                let share = if weighted { *w } else { 1.0 };
                let (known, own) = (*w != 0.0, *w != 0.0 && *index == class);
                for (partial, v) in partial.iter_mut().zip([*w, share, share * entropy, w * p]) {
                    partial[i] += if own { v } else { 0.0 };
                }
                partial[4][i] += if known { w * p } else { 0.0 };
            }
        }
        // a tile's partial sums stay in single precision; tiles are added in double
        let [weight, share, entropy, intersection, probability] =
            partial.map(|partial| partial.iter().map(|v| f64::from(*v)).sum());
        Sums { weight, share, entropy, intersection, probability }
    }

    /// Adds a class's part of the pixels' `sum_j(g_j p_j)`, over `w`, and of what the cross-entropy's gradient is
    /// multiplied by.
    fn add_part(p: &[f32], index: &[f32], factors: Factors, pull: &mut [f32], entropy: &mut [f32]) {
        for (((p, index), pull), entropy) in p.iter().zip(index).zip(pull).zip(entropy) {
            let own = *index == factors.class;
            let slope = if own { factors.all + factors.own } else { factors.all };
            *pull += slope * p;
            *entropy += if own { factors.entropy } else { 0.0 };
        }
    }

    /// Adds to the gradient of the logits of one class.
    fn add_gradient(
        p: &[f32], index: &[f32], weight: &[f32], factors: Factors, pull: &[f32], entropy: &[f32], gx: &mut [f32]
    ) {
        let pixels = p.iter().zip(index).zip(weight).zip(pull).zip(entropy).zip(gx);
        for (((((p, index), w), pull), entropy), gx) in pixels {
            let own = *index == factors.class;
            let slope = if own { factors.all + factors.own } else { factors.all };
            let g = entropy * (p - if own { 1.0 } else { 0.0 }) + w * p * (slope - pull);
            // what is ignored need be no number
            *gx += if *w == 0.0 { 0.0 } else { g };
        }
    }
}

/// What one class's gradient is made of: `g_k = w (all + [y = k] own)`, and `entropy`, which is `c_k / sum(u)`.
#[derive(Clone, Copy, Debug, Default)]
struct Factors {
    class: f32,
    entropy: f32,
    own: f32,
    all: f32,
}

/// One output's logits `(batch, classes, pixels)`, and what they are compared with.
#[derive(Clone, Copy)]
struct Output<'a> {
    pixels: usize,
    classes: usize,
    /// Whether a pixel's cross-entropy counts by its weight.
    weighted: bool,
    logits: &'a [f32],
    /// `(batch, pixels)`.
    index: &'a [f32],
    /// `(batch, pixels)`.
    weights: &'a [f32],
    class_weights: Option<&'a [f32]>,
}

impl<'a> Output<'a> {
    fn images(self) -> usize {
        self.index.len() / self.pixels
    }

    fn class_weight(self, class: usize) -> f64 {
        self.class_weights.map_or(1.0, |weights| f64::from(weights[class]))
    }

    /// Logits, index map and weights of one image.
    fn image(self, image: usize) -> [&'a [f32]; 3] {
        let of = |numbers: &'a [f32], length: usize| &numbers[image * length..][..length];
        [of(self.logits, self.classes * self.pixels), of(self.index, self.pixels), of(self.weights, self.pixels)]
    }

    /// Calls `work` with each tile of a chunk: its first pixel, how many it has, its probabilities `(classes, TILE)`
    /// and their scales.
    fn each_tile(self, image: usize, first: usize, mut work: impl FnMut(usize, usize, &[f32], &Scales)) {
        let [logits, ..] = self.image(image);
        let mut p = Buffer::new(self.classes * TILE);
        let mut scales = Scales { largest: [0.0; TILE], log: [0.0; TILE] };
        for start in (first..self.pixels.min(first + CHUNK)).step_by(TILE) {
            let length = TILE.min(self.pixels - start);
            softmax(logits, self.pixels, start, length, &mut p, &mut scales);
            work(start, length, &p, &scales);
        }
    }

    /// By class, of one chunk of an image.
    fn chunk_sums(self, image: usize, first: usize) -> Vec<Sums> {
        let [logits, index, weight] = self.image(image);
        let mut all = vec![Sums::default(); self.classes];
        self.each_tile(image, first, |start, length, p, scales| {
            let tile = |numbers: &'a [f32]| &numbers[start..start + length];
            let planes = logits.chunks_exact(self.pixels).zip(p.chunks_exact(TILE));
            for (class, ((x, p), all)) in planes.zip(&mut all).enumerate() {
                let p = &p[..length];
                all.add(tile_sums(tile(x), p, scales, tile(index), tile(weight), class as f32, self.weighted));
            }
        });
        all
    }

    /// By image and class.
    fn sums(self) -> Vec<Vec<Sums>> {
        let chunks = self.pixels.div_ceil(CHUNK);
        let parts: Vec<Vec<Sums>> = (0..self.images() * chunks)
            .into_par_iter()
            .map(|part| self.chunk_sums(part / chunks, part % chunks * CHUNK))
            .collect();
        let whole = |parts: &[Vec<Sums>]| {
            let mut whole = vec![Sums::default(); self.classes];
            for part in parts {
                whole.iter_mut().zip(part).for_each(|(whole, part)| whole.add(*part));
            }
            whole
        };
        parts.chunks(chunks).map(whole).collect()
    }

    /// `sum(u)` of an image, and `sum(c)` over the classes that it shows.
    fn denominators(self, sums: &[Sums]) -> [f64; 2] {
        let mut all = [0.0; 2];
        for (class, s) in sums.iter().enumerate() {
            all[0] += self.class_weight(class) * s.share;
            all[1] += if s.weight == 0.0 { 0.0 } else { self.class_weight(class) };
        }
        all
    }

    /// `A + B` of an image.
    fn image_loss(self, sums: &[Sums]) -> f64 {
        let (mut entropy, mut iou) = (0.0, 0.0);
        for (class, s) in sums.iter().enumerate() {
            let [n, d] = s.fraction();
            entropy += self.class_weight(class) * s.entropy;
            iou += if s.weight == 0.0 { 0.0 } else { self.class_weight(class) * (1.0 - n / d) };
        }
        let [shares, shown] = self.denominators(sums);
        ratio(entropy, shares) + ratio(iou, shown)
    }

    /// By class, of an image whose loss has the gradient `g`.
    fn factors(self, sums: &[Sums], g: f64) -> Vec<Factors> {
        let [shares, shown] = self.denominators(sums);
        let of = |(class, s): (usize, &Sums)| {
            let ([n, d], g) = (s.fraction(), g * self.class_weight(class));
            let iou = if s.weight == 0.0 { 0.0 } else { ratio(g, shown) };
            let [entropy, own, all] = [ratio(g, shares), -iou * (d + n) / (d * d), iou * n / (d * d)].map(|v| v as f32);
            Factors { class: class as f32, entropy, own, all }
        };
        sums.iter().enumerate().map(of).collect()
    }

    fn forward(self) -> f32 {
        let loss: f64 = self.sums().iter().map(|sums| self.image_loss(sums)).sum();
        (loss / self.images() as f64) as f32
    }

    /// Adds `g` times the gradient to the gradient of the logits.
    fn backward(self, g: f32, gx: &mut [f32]) {
        let g = f64::from(g) / self.images() as f64;
        let factors: Vec<Vec<Factors>> = self.sums().iter().map(|sums| self.factors(sums, g)).collect();
        let mut parts = Vec::new();
        for (image, gx) in gx.chunks_exact_mut(self.classes * self.pixels).enumerate() {
            let first = parts.len();
            parts.extend((0..self.pixels).step_by(CHUNK).map(|start| (image, start, Vec::with_capacity(self.classes))));
            for plane in gx.chunks_exact_mut(self.pixels) {
                parts[first..].iter_mut().zip(plane.chunks_mut(CHUNK)).for_each(|(part, gx)| part.2.push(gx));
            }
        }
        parts.into_par_iter().for_each(|(image, start, gx)| self.add_chunk(image, start, &factors[image], gx));
    }

    /// Adds to the gradient of one chunk of an image, a slice for each class.
    fn add_chunk(self, image: usize, first: usize, factors: &[Factors], mut gx: Vec<&mut [f32]>) {
        let [_, index, weight] = self.image(image);
        self.each_tile(image, first, |start, length, p, _| {
            let tile = |numbers: &'a [f32]| &numbers[start..start + length];
            let (index, weight) = (tile(index), tile(weight));
            let classes = || p.chunks_exact(TILE).map(|p| &p[..length]).zip(factors);
            let (mut pull, mut entropy) = ([0.0; TILE], [0.0; TILE]);
            for (p, factors) in classes() {
                add_part(p, index, *factors, &mut pull, &mut entropy);
            }
            if self.weighted {
                entropy.iter_mut().zip(weight).for_each(|(entropy, w)| *entropy *= w);
            }
            for ((p, factors), gx) in classes().zip(&mut gx) {
                add_gradient(p, index, weight, *factors, &pull, &entropy, &mut gx[start - first..][..length]);
            }
        });
    }
}

impl ExclusiveLossKernel for Cpu {
    fn exclusive_weights(&self, plane: Extent, classes: usize, index: &Buffer, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Loss, 0);
        assert!(classes <= usize::from(IGNORED), "{classes} classes");
        let images = index.par_chunks(plane.area()).zip(y.par_chunks_mut(plane.area()));
        images.for_each(|(index, y)| image_weights(plane, classes, index, y));
        Ok(())
    }

    fn exclusive_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        index: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        y[0] = output(plane, cross_entropy, [logits, index, weights], class_weights).forward();
        Ok(())
    }

    fn exclusive_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        index: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        gy: &Buffer,
        gx: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        output(plane, cross_entropy, [logits, index, weights], class_weights).backward(gy[0], gx);
        Ok(())
    }
}

fn output<'a>(
    plane: Extent,
    cross_entropy: CrossEntropy,
    [logits, index, weights]: [&'a [f32]; 3],
    class_weights: Option<&'a Buffer>,
) -> Output<'a> {
    let (weighted, class_weights) = (cross_entropy == CrossEntropy::Weighted, class_weights.map(|weights| &**weights));
    let (pixels, classes) = (plane.area(), logits.len() / index.len());
    Output { pixels, classes, weighted, logits, index, weights, class_weights }
}

#[cfg(test)]
mod tests;
