//! A training pass of one process, and the same batch over threads as ranks.

use super::numbers::{gradients, norm};
use dfdx::nn::ModuleMut;
use dfdx::prelude::*;
use sam2unet::group::{Group, Thread, threads};
use sam2unet::nn::weights::Value;
use sam2unet::nn::{
    BuildOptions, ClassWeights, IGNORED, Image, IndexMaps, Initialiser, Known, Loss, Masks, MemoryUse, Sam2UNet,
    Targets, Variant, as_part_of,
};
use sam2unet::train::SplitBatch;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

const SIDE: usize = 64;
/// Branches whose last convolution's taps, but for the one in the middle, reach beyond the map at this side. As that
/// batch norm takes away what the one before adds, the earlier one's bias has no gradient and the later one's mean is
/// zero, in exact arithmetic. What is left is rounding.
const ONE_TAP: [&str; 5] = ["rfb3.branch2", "rfb3.branch3", "rfb4.branch1", "rfb4.branch2", "rfb4.branch3"];

/// Whether this gradient or running statistic is zero in exact arithmetic.
fn is_zero(name: &str) -> bool {
    let branch = name.strip_suffix(".2.bn.bias").or(name.strip_suffix(".3.bn.running_mean"));
    branch.is_some_and(|branch| ONE_TAP.contains(&branch))
}

const PIXELS: usize = SIDE * SIDE;

/// What the outputs are compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// One soft mask.
    Mask,
    /// Three labels that count by weight; pixels are ignored for all of them.
    KnownOfAll,
    /// The same, ignored for each by itself; of one image one label is known nowhere.
    KnownOfEach,
    /// Three exclusive classes that count by weight, and ignored pixels.
    Index,
}

/// A batch, and how it is learnt from.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub images: usize,
    pub kind: Kind,
    pub loss: Loss,
    pub memory: MemoryUse,
    pub seed: u64,
}

/// What a pass found.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The loss, by its share in the batch's.
    pub loss: f64,
    /// By weight.
    pub gradients: BTreeMap<String, Vec<f32>>,
    /// Running statistics, by name.
    pub statistics: BTreeMap<String, Vec<f32>>,
}

pub type Model<V> = Sam2UNet<V, Cpu, usize>;

/// A number in 0..1.
fn random(seed: u64, at: usize) -> f32 {
    let mut z = seed.wrapping_add((at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
}

impl Case {
    fn classes(self) -> usize {
        if self.kind == Kind::Mask { 1 } else { 3 }
    }

    pub fn model<V: Variant>(self) -> Model<V> {
        let options = BuildOptions { memory: self.memory, ..BuildOptions::default() };
        let mut weights = Initialiser::new(self.seed);
        Sam2UNet::with_classes(&Cpu::default(), &mut weights, self.classes(), options).unwrap()
    }

    /// Some images' share of a list with so many numbers an image.
    fn numbers(self, images: Range<usize>, each: usize, salt: u64) -> impl Iterator<Item = f32> {
        (images.start * each..images.end * each).map(move |at| random(self.seed ^ salt, at))
    }

    /// A pass of these images of the batch, whose loss counts by `share`.
    pub fn pass<V: Variant>(self, mut model: Model<V>, images: Range<usize>, share: f32) -> Pass {
        let (device, count, classes) = (Cpu::default(), images.len(), self.classes());
        let x = self.numbers(images.clone(), 3 * PIXELS, 1).map(|v| 4.0 * v - 2.0).collect();
        let x: Image<usize, usize, Cpu> = device.tensor_from_vec(x, (count, Const, SIDE, SIDE));
        let masks = self.numbers(images.clone(), classes * PIXELS, 2).collect();
        let masks: Masks<usize, usize, usize, Cpu> = device.tensor_from_vec(masks, (count, classes, SIDE, SIDE));
        let weights = ClassWeights::new(&device, &[0.5, 1.0, 3.0][..classes], classes).unwrap();
        // more is ignored of one image than of another: what a loss divides by differs
        let is_known = |at: usize, v: f32| v > 0.2 + 0.15 * (at % 5) as f32;
        let of_all = self.numbers(images.clone(), PIXELS, 3).enumerate();
        let of_all = of_all.map(|(at, v)| is_known(images.start + at / PIXELS, v));
        let known = |known: bool| f32::from(u8::from(known));

        let outputs = model.forward_mut(x.traced(model.alloc_grads()));
        let loss = match self.kind {
            Kind::Mask => outputs.loss(&masks, self.loss),
            Kind::KnownOfAll => {
                let known = device.tensor_from_vec(of_all.map(known).collect(), (count, Const, SIDE, SIDE));
                outputs.loss(Targets::from((&masks, &Known::OfAll(known))).weighted(&weights), self.loss)
            }
            Kind::KnownOfEach => {
                let of_each = self.numbers(images.clone(), 3 * PIXELS, 3).enumerate().map(|(at, v)| {
                    let plane = 3 * images.start + at / PIXELS;
                    known(plane != 1 && is_known(plane, v))
                });
                let known = device.tensor_from_vec(of_each.collect(), (count, classes, SIDE, SIDE));
                outputs.loss(Targets::from((&masks, &Known::OfEach(known))).weighted(&weights), self.loss)
            }
            Kind::Index => {
                let classes_of = self.numbers(images.clone(), PIXELS, 4).map(|v| (2.999 * v) as u8);
                let index: Vec<u8> = classes_of.zip(of_all).map(|(k, known)| if known { k } else { IGNORED }).collect();
                let index = IndexMaps::new(&device, &index, (count, classes, SIDE)).unwrap();
                outputs.loss(Targets::from(&index).weighted(&weights), self.loss)
            }
        };
        let (loss, tape) = loss.unwrap().split_tape();
        let value = f64::from(loss.array()) * f64::from(share);
        let found = (loss.put_tape(tape) * share).backward();
        let mut statistics = BTreeMap::new();
        model.each_value(&mut |spec, value| match value {
            Value::Real(numbers) if spec.name.contains("running_") => drop(statistics.insert(spec.name, numbers)),
            _ => (),
        });
        Pass { loss: value, gradients: gradients(&model, &found), statistics }
    }

    /// The pass of one process, which knows of no other.
    pub fn alone<V: Variant>(self, model: &Model<V>) -> Pass {
        self.pass(model.clone(), 0..self.images, 1.0)
    }

    /// This rank's part of the pass.
    pub fn part<V: Variant>(self, model: &Model<V>, group: Arc<dyn Group>) -> Pass {
        let whole = SplitBatch::new(group, self.images);
        let cut = whole.cut();
        as_part_of(Rc::new(whole), || self.pass(model.clone(), cut.computed(), cut.share()))
    }

    /// The pass over so many ranks, each one's part.
    pub fn split<V: Variant>(self, model: &Model<V>, ranks: usize) -> Vec<Pass> {
        with_ranks(ranks, |group| self.part(model, Arc::new(group)))
    }
}

/// Runs `work` on so many threads as ranks; gives what each returned.
pub fn with_ranks<T: Send>(size: usize, work: impl Fn(Thread) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = threads(size).into_iter().map(|rank| scope.spawn(|| work(rank))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Holds the parts of a batch against the batch: loss and running statistics within 1e-6, each weight's gradient within
/// 1e-5 of its norm. A single bias's gradient is a sum of many terms of either sign, which of random batches may be
/// next to nothing: it is held against `of_layer` times its layer's norm, if that is more.
pub fn agrees(case: &str, whole: &Pass, parts: &[Pass], of_layer: f64) {
    let loss: f64 = parts.iter().map(|part| part.loss).sum();
    let loss_error = (loss / whole.loss - 1.0).abs();
    let wide = |numbers: &[f32]| numbers.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let largest = whole.gradients.values().fold(0.0, |most: f64, g| most.max(norm(wide(g))));
    let mut worst = (0.0, "");
    for (name, wanted) in &whole.gradients {
        let mut sum = vec![0.0; wanted.len()];
        for part in parts {
            sum.iter_mut().zip(&part.gradients[name]).for_each(|(sum, g)| *sum += f64::from(*g));
        }
        let wanted = wide(wanted);
        let error = norm(sum.iter().zip(&wanted).map(|(found, wanted)| found - wanted));
        if is_zero(name) {
            assert!(error.max(norm(wanted)) <= 1e-8 * largest, "{case}: {name} is off by {error:e} of {largest:e}");
            continue;
        }
        let of = match name.strip_suffix(".bias") {
            Some(layer) if wanted.len() == 1 => {
                let layer = norm(wide(&whole.gradients[&format!("{layer}.weight")]));
                norm(wanted).max(of_layer * layer)
            }
            _ => norm(wanted),
        };
        let error = error / of;
        assert!(error.is_finite(), "{case}: the gradient of {name} is no number");
        if error > worst.0 {
            worst = (error, name);
        }
    }
    let mut statistics = (0.0, "");
    for (name, wanted) in &whole.statistics {
        let of_largest = wanted.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        let found = &parts[0].statistics[name];
        if is_zero(name) {
            let largest = found.iter().fold(of_largest, |most, v| most.max(v.abs()));
            let variance = &whole.statistics[&name.replace("_mean", "_var")];
            let spread = variance.iter().fold(f32::INFINITY, |least, v| least.min(v.sqrt()));
            assert!(largest <= 1e-8 * spread, "{case}: {name} is {largest:e} of a spread of {spread:e}");
            continue;
        }
        let error = found.iter().zip(wanted).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / of_largest;
        if error > statistics.0 {
            statistics = (error, name);
        }
    }
    println!("{case}: loss {loss_error:.1e}, worst gradient {worst:?}, worst statistic {statistics:?}");
    assert!(loss_error <= 1e-6, "{case}: loss {loss}, wanted {}", whole.loss);
    assert!(worst.0 <= 1e-5, "{case}: worst gradient {worst:?}");
    assert!(statistics.0 <= 1e-6, "{case}: worst running statistic {statistics:?}");
    for (rank, part) in parts.iter().enumerate() {
        assert!(part.statistics == parts[0].statistics, "{case}: rank {rank} has other running statistics than rank 0");
    }
}
