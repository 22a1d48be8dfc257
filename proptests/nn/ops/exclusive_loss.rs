//! The loss of classes that exclude each other, and the weights of its pixels.

use super::super::{Dev, cases, device};
use super::twin::{Got, compare, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops::{self, CrossEntropy};
use sam2unet::nn::{ClassWeights, IGNORED, IndexMaps, Masks};

/// Index maps and logits of a batch.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    classes: usize,
    side: usize,
    index: Vec<u8>,
    logits: Vec<f32>,
    class_weights: Option<Vec<f32>>,
    cross_entropy: CrossEntropy,
}

fn case() -> impl Strategy<Value = Case> {
    let size = (1..4usize, prop::sample::select(vec![2usize, 3, 7]), prop::sample::select(vec![8usize, 32, 45]));
    let what = (0..4u8, any::<bool>(), any::<bool>(), 0..1000u64);
    (size, what).prop_map(|((batch, classes, side), (ignored, weighs, script, seed))| {
        let draws = numbers(batch * side * side, seed ^ 0x1D);
        let index = draws.iter().enumerate().map(|(i, draw)| {
            let (image, x, y) = (i / (side * side), i % side, i / side % side);
            // the last of several images shows nothing if pixels are ignored at all
            let lost = ignored > 0 && batch > 1 && image == batch - 1;
            let is_ignored = lost || f32::from(ignored) > 3.0 * draw.abs() + 1.5;
            if is_ignored { IGNORED } else { ((x / 6 + y / 5 + image + seed as usize) % classes) as u8 }
        });
        let class_weights = weighs.then(|| (0..classes).map(|k| 0.5 * k as f32 + f32::from(k == 2)).collect());
        Case {
            batch,
            classes,
            side,
            index: index.collect(),
            logits: numbers(batch * classes * side * side, seed).into_iter().map(|v| 6.0 * v).collect(),
            class_weights,
            cross_entropy: if script { CrossEntropy::Plain } else { CrossEntropy::Weighted },
        }
    })
}

impl Case {
    /// Loss, and its gradient with respect to the logits.
    fn given(&self) -> (f32, Vec<f32>) {
        let (device, shape) = (device(), (self.batch, self.classes, self.side, self.side));
        let x: Masks<usize, usize, usize, Dev> = device.tensor_from_vec(self.logits.clone(), shape);
        let index = IndexMaps::new(&device, &self.index, (self.batch, self.classes, self.side)).unwrap();
        let weights = ops::exclusive_weights(&index).unwrap();
        let class_weights =
            self.class_weights.as_ref().map(|weights| ClassWeights::new(&device, weights, self.classes).unwrap());
        let loss =
            ops::exclusive_loss(x.leaky_trace(), &index, &weights, class_weights.as_ref(), self.cross_entropy).unwrap();
        let value = loss.as_vec()[0];
        (value, loss.backward().get(&x).as_vec())
    }

    fn pixels(&self) -> usize {
        self.side * self.side
    }

    /// The pixel that a number of the logits belongs to.
    fn pixel(&self, at: usize) -> usize {
        at / (self.classes * self.pixels()) * self.pixels() + at % self.pixels()
    }

    /// One of its images.
    fn image(&self, image: usize) -> Self {
        let part = |length: usize| image * length..(image + 1) * length;
        let logits = self.logits[part(self.classes * self.pixels())].to_vec();
        Self { batch: 1, index: self.index[part(self.pixels())].to_vec(), logits, ..self.clone() }
    }

    /// The reference implementation: each pixel's weight.
    fn weights_twin(&self) -> Vec<f64> {
        let (side, pixels) = (self.side, self.pixels());
        let around = |at: usize| at.saturating_sub(15)..(at + 16).min(side);
        let weight = |i: usize| {
            let map = &self.index[i / pixels * pixels..][..pixels];
            let window = around(i % pixels / side).flat_map(|y| around(i % side).map(move |x| map[y * side + x]));
            let labelled: Vec<u8> = window.filter(|class| *class != IGNORED).collect();
            let own = labelled.iter().filter(|class| **class == self.index[i]).count();
            1.0 + 5.0 * (1.0 - own as f64 / labelled.len() as f64)
        };
        (0..self.index.len()).map(|i| if self.index[i] == IGNORED { 0.0 } else { weight(i) }).collect()
    }

    /// The reference implementation of the loss, straight from the formulas.
    fn twin(&self, logits: &[f64], weights: &[f64]) -> f64 {
        let (classes, pixels) = (self.classes, self.pixels());
        let c = |class: usize| self.class_weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]));
        let ratio = |a: f64, b: f64| if b == 0.0 { 0.0 } else { a / b };
        let mut loss = 0.0;
        for image in 0..self.batch {
            let x = &logits[image * classes * pixels..][..classes * pixels];
            let (index, w) = (&self.index[image * pixels..][..pixels], &weights[image * pixels..][..pixels]);
            let p = |i: usize, class: usize| {
                1.0 / (0..classes).map(|k| (x[k * pixels + i] - x[class * pixels + i]).exp()).sum::<f64>()
            };
            let known: Vec<usize> = (0..pixels).filter(|i| index[*i] != IGNORED).collect();
            let u = |i: usize| {
                let own = c(usize::from(index[i]));
                if self.cross_entropy == CrossEntropy::Plain { own } else { own * w[i] }
            };
            let entropy: f64 = known.iter().map(|&i| -u(i) * p(i, usize::from(index[i])).ln()).sum();
            let shares: f64 = known.iter().map(|&i| u(i)).sum();
            let (mut iou, mut shown) = (0.0, 0.0);
            for class in 0..classes {
                let is = |i: usize| f64::from(u8::from(usize::from(index[i]) == class));
                if known.iter().any(|&i| is(i) == 1.0) {
                    let both: f64 = known.iter().map(|&i| w[i] * p(i, class) * is(i)).sum();
                    let all = known.iter().map(|&i| w[i] * (p(i, class) + is(i))).sum::<f64>() - both;
                    iou += c(class) * (1.0 - (both + 1.0) / (all + 1.0));
                    shown += c(class);
                }
            }
            loss += ratio(entropy, shares) + ratio(iou, shown);
        }
        loss / self.batch as f64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]

    #[test]
    fn loss(case in case()) {
        let device = device();
        let index = IndexMaps::new(&device, &case.index, (case.batch, case.classes, case.side)).unwrap();
        let (weights, twin) = (ops::exclusive_weights(&index).unwrap().as_vec(), case.weights_twin());
        prop_assert_eq!(weights, twin.iter().map(|w| *w as f32).collect::<Vec<_>>());
        let (value, gradient) = case.given();
        let got = Got { y: vec![value], gradients: vec![gradient] };
        compare(&got, std::slice::from_ref(&case.logits), &[1.0], [2e-5, 2e-3], |v| vec![case.twin(&v[0], &twin)]);
    }

    #[test]
    fn logits_of_ignored_pixels_change_nothing(case in case(), other in -50f32..50.0) {
        let (value, gradient) = case.given();
        let mut changed = case.clone();
        for (at, logit) in changed.logits.iter_mut().enumerate() {
            if case.index[case.pixel(at)] == IGNORED {
                *logit = if at % 3 == 0 { f32::NAN } else { other };
            }
        }
        let (other_value, other_gradient) = changed.given();
        prop_assert_eq!(value.to_bits(), other_value.to_bits());
        prop_assert!(value.is_finite());
        for (at, (g, other)) in gradient.iter().zip(&other_gradient).enumerate() {
            prop_assert_eq!(g.to_bits(), other.to_bits());
            prop_assert!(g.is_finite() && (*g == 0.0 || case.index[case.pixel(at)] != IGNORED));
        }
    }

    #[test]
    fn an_order_of_the_classes_orders_the_gradients(case in case(), turn in 1..7usize) {
        // class k becomes `to(k)`
        let to = |class: usize| (class + turn) % case.classes;
        let plane = |at: usize| at / case.pixels() % case.classes;
        // where the number `at` of the reordered logits comes from
        let from = |at: usize| {
            let class = (plane(at) + case.classes * 7 - turn) % case.classes;
            at - plane(at) * case.pixels() + class * case.pixels()
        };
        let mut other = case.clone();
        other.logits = (0..case.logits.len()).map(|at| case.logits[from(at)]).collect();
        other.index.iter_mut().filter(|v| **v != IGNORED).for_each(|v| *v = to(usize::from(*v)) as u8);
        if let (Some(weights), Some(given)) = (&mut other.class_weights, &case.class_weights) {
            given.iter().enumerate().for_each(|(class, weight)| weights[to(class)] = *weight);
        }
        let ((value, gradient), (other_value, other_gradient)) = (case.given(), other.given());
        prop_assert!((value - other_value).abs() <= 1e-6 * value, "{} {}", value, other_value);
        let largest = gradient.iter().fold(0f32, |most, g| most.max(g.abs()));
        for (at, g) in other_gradient.iter().enumerate() {
            prop_assert!((g - gradient[from(at)]).abs() <= 1e-5 * largest, "{} {}", g, gradient[from(at)]);
        }
        // a pixel's gradients add up to nothing
        for image in gradient.chunks(case.classes * case.pixels()) {
            for i in 0..case.pixels() {
                let sum: f32 = image.iter().skip(i).step_by(case.pixels()).sum();
                prop_assert!(sum.abs() <= 1e-5 * largest, "{}", sum);
            }
        }
    }

    #[test]
    fn accumulated_images_are_a_batch(case in case()) {
        let (value, gradient) = case.given();
        let alone: Vec<_> = (0..case.batch).map(|image| case.image(image).given()).collect();
        let sum: f32 = alone.iter().map(|(value, _)| value).sum();
        prop_assert!((value - sum / case.batch as f32).abs() <= 1e-6 * value);
        let largest = gradient.iter().fold(0f32, |most, g| most.max(g.abs()));
        for (g, alone) in gradient.iter().zip(alone.iter().flat_map(|(_, gradient)| gradient)) {
            prop_assert!((g - alone / case.batch as f32).abs() <= 1e-6 * largest);
        }
    }
}
