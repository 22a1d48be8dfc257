//! The loss, and the weights of its pixels.

use super::super::{Dev, cases, device};
use super::twin::{Got, compare, numbers};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops::{self, CrossEntropy};
use sam2unet::nn::{ClassWeights, Known, Masks};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn loss(
        batch in 1..3usize,
        side in prop::sample::select(vec![32usize, 64]),
        script: bool,
        soft: bool,
        seed in 0..1000u64,
    ) {
        const K: usize = 2;
        let n = batch * K * side * side;
        let inputs = [numbers(n, seed).iter().map(|v| 6.0 * v).collect::<Vec<_>>()];
        let mask: Vec<f32> = (0..n)
            .map(|i| {
                let (x, y) = ((i % side) as f32, (i / side % side) as f32);
                let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 7.0 - (seed % 5) as f32) / 3.0;
                if soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
            })
            .collect();
        let shape = (batch, Const::<K>, side, side);
        let device = device();
        let x: Tensor<(usize, Const<K>, usize, usize), f32, Dev> = device.tensor_from_vec(inputs[0].clone(), shape);
        let truth = device.tensor_from_vec(mask.clone(), shape);
        let weights = ops::loss_weights(&truth, None).unwrap();
        let weight_twin: Vec<f64> = (0..n).map(|i| {
            let (px, py, plane) = ((i % side) as isize, (i / side % side) as isize, i / side / side * side * side);
            let mut sum = 0.0;
            for y in (py - 15).max(0)..(py + 16).min(side as isize) {
                for x in (px - 15).max(0)..(px + 16).min(side as isize) {
                    sum += f64::from(mask[plane + y as usize * side + x as usize]);
                }
            }
            1.0 + 5.0 * (sum / 961.0 - f64::from(mask[i])).abs()
        }).collect();
        prop_assert_eq!(weights.as_vec().len(), weight_twin.len());
        for (got, want) in weights.as_vec().iter().zip(&weight_twin) {
            prop_assert!((f64::from(*got) - want).abs() < 1e-5);
        }
        let cross_entropy = if script { CrossEntropy::Plain } else { CrossEntropy::Weighted };
        let y = ops::structure_loss(x.leaky_trace(), &truth, &weights, None, cross_entropy).unwrap();
        // no sum: dfdx cannot sum a single number on a GPU
        let values = y.as_vec();
        let got = Got { y: values, gradients: vec![y.backward().get(&x).as_vec()] };
        compare(&got, &inputs, &[1.0], [2e-5, 2e-3], |v| {
            let pixels = side * side;
            let mut total = 0.0;
            for plane in 0..batch * K {
                let range = plane * pixels..(plane + 1) * pixels;
                let (mut sw, mut se, mut si, mut st) = (0.0, 0.0, 0.0, 0.0);
                for i in range {
                    let (x, m, w) = (v[0][i], f64::from(mask[i]), weight_twin[i]);
                    let p = 1.0 / (1.0 + (-x).exp());
                    let e = -(m * p.ln() + (1.0 - m) * (1.0 - p).ln());
                    sw += w;
                    se += if script { e } else { w * e };
                    si += w * p * m;
                    st += w * (p + m);
                }
                total += se / if script { pixels as f64 } else { sw } + 1.0 - (si + 1.0) / (st - si + 1.0);
            }
            vec![total / (batch * K) as f64]
        });
    }
}

/// Labels of which some pixels are ignored.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    side: usize,
    logits: Vec<f32>,
    masks: Vec<f32>,
    /// Of all labels, or of each.
    known: Vec<f32>,
    of_each: bool,
    class_weights: Vec<f32>,
    cross_entropy: CrossEntropy,
}

const LABELS: usize = 3;

fn case() -> impl Strategy<Value = Case> {
    let what = (any::<bool>(), any::<bool>(), any::<bool>(), 0..1000u64);
    (1..3usize, prop::sample::select(vec![8usize, 32, 45]), what).prop_map(
        |(batch, side, (of_each, soft, script, seed))| {
            let planes = |count: usize, seed: u64| numbers(batch * count * side * side, seed);
            let known = planes(if of_each { LABELS } else { 1 }, seed ^ 0x1D);
            let masks = planes(LABELS, seed ^ 0x2E).into_iter().map(|v| 0.5 + v);
            Case {
                batch,
                side,
                logits: planes(LABELS, seed).into_iter().map(|v| 6.0 * v).collect(),
                masks: masks.map(|v| if soft { v.clamp(0.0, 1.0) } else { f32::from(v > 0.5) }).collect(),
                // the first plane is ignored throughout
                known: known.iter().enumerate().map(|(i, v)| f32::from(i >= side * side && *v > -0.6)).collect(),
                of_each,
                class_weights: (0..LABELS).map(|k| k as f32 + f32::from(seed % 2 == 1)).collect(),
                cross_entropy: if script { CrossEntropy::Plain } else { CrossEntropy::Weighted },
            }
        },
    )
}

impl Case {
    /// What is known of a number of the masks.
    fn known(&self, at: usize) -> bool {
        let pixels = self.side * self.side;
        let plane = if self.of_each { at / pixels } else { at / pixels / LABELS };
        self.known[plane * pixels + at % pixels] != 0.0
    }

    /// Pixels' weights, loss, and its gradient with respect to the logits.
    fn given(&self) -> (Vec<f32>, f32, Vec<f32>) {
        let (device, side) = (device(), self.side);
        let planes = |numbers: &[f32]| -> Masks<usize, usize, usize, Dev> {
            device.tensor_from_vec(numbers.to_vec(), (self.batch, LABELS, side, side))
        };
        let (x, masks) = (planes(&self.logits), planes(&self.masks));
        let known = match self.of_each {
            true => Known::OfEach(planes(&self.known)),
            false => Known::OfAll(device.tensor_from_vec(self.known.clone(), (self.batch, Const, side, side))),
        };
        let weights = ops::loss_weights(&masks, Some(&known)).unwrap();
        let class_weights = ClassWeights::new(&device, &self.class_weights, LABELS).unwrap();
        let loss =
            ops::structure_loss(x.leaky_trace(), &masks, &weights, Some(&class_weights), self.cross_entropy).unwrap();
        let value = loss.as_vec()[0];
        (weights.as_vec(), value, loss.backward().get(&x).as_vec())
    }

    /// The reference implementation: each pixel's weight.
    fn weights_twin(&self) -> Vec<f64> {
        let (side, pixels) = (self.side, self.side * self.side);
        let around = |at: usize| at.saturating_sub(15)..(at + 16).min(side);
        let weight = |at: usize| {
            let first = at / pixels * pixels;
            let window =
                || around(at % pixels / side).flat_map(|y| around(at % side).map(move |x| first + y * side + x));
            let sum: f64 = window().filter(|at| self.known(*at)).map(|at| f64::from(self.masks[at])).sum();
            let ignored = window().filter(|at| !self.known(*at)).count();
            1.0 + 5.0 * (sum / (961 - ignored) as f64 - f64::from(self.masks[at])).abs()
        };
        (0..self.masks.len()).map(|at| if self.known(at) { weight(at) } else { 0.0 }).collect()
    }

    /// The reference implementation of the loss, straight from the formulas.
    fn twin(&self, logits: &[f64], weights: &[f64]) -> f64 {
        let (pixels, all) = (self.side * self.side, self.class_weights.iter().sum::<f32>());
        let mut total = 0.0;
        for plane in 0..self.batch * LABELS {
            let (mut shares, mut entropy, mut both, mut sum) = (0.0, 0.0, 0.0, 0.0);
            for at in (plane * pixels..(plane + 1) * pixels).filter(|at| self.known(*at)) {
                let (x, m, w) = (logits[at], f64::from(self.masks[at]), weights[at]);
                let p = 1.0 / (1.0 + (-x).exp());
                let share = if self.cross_entropy == CrossEntropy::Plain { 1.0 } else { w };
                shares += share;
                entropy -= share * (m * p.ln() + (1.0 - m) * (1.0 - p).ln());
                both += w * p * m;
                sum += w * (p + m);
            }
            let entropy = if shares == 0.0 { 0.0 } else { entropy / shares };
            let loss = entropy + 1.0 - (both + 1.0) / (sum - both + 1.0);
            total += loss * f64::from(self.class_weights[plane % LABELS] / all);
        }
        total / self.batch as f64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]

    #[test]
    fn loss_where_pixels_are_ignored(case in case()) {
        let ((weights, value, gradient), twin) = (case.given(), case.weights_twin());
        for (got, want) in weights.iter().zip(&twin) {
            prop_assert!((f64::from(*got) - want).abs() < 1e-5);
        }
        let got = Got { y: vec![value], gradients: vec![gradient] };
        compare(&got, std::slice::from_ref(&case.logits), &[1.0], [2e-5, 2e-3], |v| vec![case.twin(&v[0], &twin)]);
    }

    #[test]
    fn masks_and_logits_of_ignored_pixels_change_nothing(case in case(), other in -50f32..50.0) {
        let mut changed = case.clone();
        for at in (0..case.masks.len()).filter(|at| !case.known(*at)) {
            (changed.masks[at], changed.logits[at]) = if at % 3 == 0 { (f32::NAN, other) } else { (other, f32::NAN) };
        }
        let (weights, value, gradient) = case.given();
        let (other_weights, other_value, other_gradient) = changed.given();
        let bits = |numbers: &[f32]| numbers.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&weights), bits(&other_weights));
        prop_assert_eq!(value.to_bits(), other_value.to_bits());
        prop_assert_eq!(bits(&gradient), bits(&other_gradient));
        prop_assert!(value.is_finite());
        prop_assert!((0..gradient.len()).all(|at| gradient[at].is_finite() && (gradient[at] == 0.0 || case.known(at))));
    }

    /// The model of the paper: what is known throughout is as if nobody had said so, to the bit.
    #[test]
    fn one_label_that_is_known_throughout_is_a_mask(
        seed in 0..1000u64, side in prop::sample::select(vec![32usize, 45]), script: bool
    ) {
        let (device, shape) = (device(), (2usize, Const::<1>, side, side));
        let cross_entropy = if script { CrossEntropy::Plain } else { CrossEntropy::Weighted };
        let n = 2 * side * side;
        let x = device.tensor_from_vec(numbers(n, seed).into_iter().map(|v| 6.0 * v).collect(), shape);
        let soft = numbers(n, seed ^ 0x2E).into_iter().map(|v| v.clamp(0.0, 1.0));
        let mask = device.tensor_from_vec(soft.collect(), shape);
        let known = Known::OfAll(device.tensor_from_vec(vec![1.0; n], shape));
        let class_weight = ClassWeights::new(&device, &[1.0], Const::<1>).unwrap();
        type OneKnown = Known<usize, usize, Const<1>, Dev>;
        let given = |known: Option<&OneKnown>, class_weight: Option<&ClassWeights<Const<1>, Dev>>| {
            let weights = ops::loss_weights(&mask, known).unwrap();
            let loss = ops::structure_loss(x.leaky_trace(), &mask, &weights, class_weight, cross_entropy).unwrap();
            let value = loss.as_vec()[0];
            let numbers = [weights.as_vec(), vec![value], loss.backward().get(&x).as_vec()].concat();
            numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let plain = given(None, None);
        prop_assert_eq!(&given(Some(&known), None), &plain);
        prop_assert_eq!(&given(Some(&known), Some(&class_weight)), &plain);
    }
}
