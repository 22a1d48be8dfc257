//! Losses, and the weights of their pixels.

use crate::support::case::{Case, Given, How, check, numbers};
use dfdx::prelude::*;
use sam2unet::nn::ops;
use sam2unet::nn::{Backend, ClassWeights, IGNORED, IndexMaps, Known};

struct Loss {
    batch: usize,
    side: usize,
    cross_entropy: ops::CrossEntropy,
    soft: bool,
    spoil: bool,
    /// Ignored pixels and class weights.
    partly: Option<Partly>,
}

/// Which pixels are ignored: the same of both labels, or others of each.
#[derive(Clone, Copy)]
enum Partly {
    OfAll,
    OfEach,
}

impl Case for Loss {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let (side, n) = (self.side, self.batch * 2 * self.side * self.side);
        let shape = (self.batch, Const::<2>, side, side);
        let mut values: Vec<f32> = numbers(n, 1).iter().map(|v| 20.0 * v * v * v).collect();
        if self.spoil {
            values[7] = f32::NAN;
        }
        let truth = (0..n).map(|i| {
            let (x, y) = ((i % side) as f32, (i / side % side) as f32);
            let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 9.0) / 3.0;
            if self.soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
        });
        let x = device.tensor_from_vec(values, shape);
        let truth = device.tensor_from_vec(truth.collect(), shape);
        // the last image, or its last label, is ignored throughout
        let known = |planes: usize| -> Vec<f32> {
            let all = self.batch * planes * side * side;
            (0..all).map(|i| f32::from(u8::from(i < all - side * side && i * 31 % 17 > 3))).collect()
        };
        let known = self.partly.map(|partly| match partly {
            Partly::OfAll => Known::OfAll(device.tensor_from_vec(known(1), (self.batch, Const, side, side))),
            Partly::OfEach => Known::OfEach(device.tensor_from_vec(known(2), shape)),
        });
        let class_weights = self.partly.map(|_| ClassWeights::new(device, &[0.5, 2.0], Const::<2>).unwrap());
        let weights = ops::loss_weights(&truth, known.as_ref()).unwrap();
        let (mut gradients, mut value) = (Gradients::leaky(), Vec::new());
        for _ in 0..2 {
            let traced = x.trace(gradients);
            let y = ops::structure_loss(traced, &truth, &weights, class_weights.as_ref(), self.cross_entropy).unwrap();
            value = y.as_vec();
            gradients = (y * 0.7).backward();
        }
        let gradient = gradients.get(&x).as_vec();
        vec![("value".into(), value), ("gradient".into(), gradient), ("weights".into(), weights.as_vec())]
    }
}

#[test]
fn losses_and_their_weights() {
    for (batch, side, soft, spoil) in
        [(1, 32, false, false), (2, 64, true, false), (1, 96, false, false), (2, 128, true, false), (2, 32, true, true)]
    {
        for cross_entropy in [ops::CrossEntropy::Weighted, ops::CrossEntropy::Plain] {
            check(&Loss { batch, side, cross_entropy, soft, spoil, partly: None }, 1e-5);
        }
    }
}

#[test]
fn losses_of_labels_some_of_whose_pixels_are_ignored() {
    for (batch, side, soft, spoil) in [(1, 32, false, false), (2, 96, true, false), (2, 32, true, true)] {
        for cross_entropy in [ops::CrossEntropy::Weighted, ops::CrossEntropy::Plain] {
            for partly in [Partly::OfAll, Partly::OfEach] {
                check(&Loss { batch, side, cross_entropy, soft, spoil, partly: Some(partly) }, 1e-5);
            }
        }
    }
}

/// Classes that exclude each other.
struct Exclusive {
    batch: usize,
    classes: usize,
    side: usize,
    cross_entropy: ops::CrossEntropy,
    weighs: bool,
    spoil: bool,
}

impl Case for Exclusive {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let &Self { batch, classes, side, .. } = self;
        let (pixels, shape) = (side * side, (batch, classes, side, side));
        let mut values: Vec<f32> = numbers(batch * classes * pixels, 1).iter().map(|v| 20.0 * v * v * v).collect();
        if self.spoil {
            values[pixels - 1] = f32::NAN;
        }
        // the second image shows one class less, the third nothing
        let class = |i: usize| {
            let (image, x, y) = (i / pixels, i % side, i / side % side);
            let lost = image == 2 || i * 31 % 17 < 3;
            if lost { IGNORED } else { ((x / 7 + y / 9) % (classes - image).max(1)) as u8 }
        };
        let index: Vec<u8> = (0..batch * pixels).map(class).collect();
        let index = IndexMaps::new(device, &index, (batch, classes, side)).unwrap();
        let class_weights: Vec<f32> = (0..classes).map(|k| 0.5 * k as f32).collect();
        let class_weights = self.weighs.then(|| ClassWeights::new(device, &class_weights, classes).unwrap());
        let x = device.tensor_from_vec(values, shape);
        let weights = ops::exclusive_weights(&index).unwrap();
        let (mut gradients, mut value) = (Gradients::leaky(), Vec::new());
        for _ in 0..2 {
            let traced = x.trace(gradients);
            let y = ops::exclusive_loss(traced, &index, &weights, class_weights.as_ref(), self.cross_entropy).unwrap();
            value = y.as_vec();
            gradients = (y * 0.7).backward();
        }
        let gradient = gradients.get(&x).as_vec();
        vec![("value".into(), value), ("gradient".into(), gradient), ("weights".into(), weights.as_vec())]
    }
}

#[test]
fn losses_of_exclusive_classes_and_their_weights() {
    for (batch, classes, side, spoil) in [
        (1, 2, 32, false),
        (3, 3, 32, false),
        (2, 5, 64, false),
        (1, 255, 32, false),
        (1, 3, 128, false),
        (1, 3, 32, true),
    ] {
        for cross_entropy in [ops::CrossEntropy::Weighted, ops::CrossEntropy::Plain] {
            for weighs in [false, true] {
                check(&Exclusive { batch, classes, side, cross_entropy, weighs, spoil }, 1e-5);
            }
        }
    }
}
