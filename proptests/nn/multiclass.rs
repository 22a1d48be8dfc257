//! What holds of the network with several classes, known at run time, whatever the weights, the images and the maps.

use super::sam2unet::{Small16, exactly_the_trainable, gradients, image, numbers};
use super::{Dev, device, network_cases};
use dfdx::nn::ModuleMut;
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::weights::{SourceError, Value, WeightSource, WeightSpec};
use sam2unet::nn::{
    BuildOptions, ClassWeights, IGNORED, IndexMaps, Initialiser, Known, Loss, Masks, Sam2UNet, Targets,
};
use std::collections::BTreeMap;

type Model = Sam2UNet<Small16, Dev, usize>;
type S = Const<64>;

const BATCH: usize = 2;
const PIXELS: usize = 64 * 64;

/// Random weights; the heads' class `k` has what class `from[k]` would have.
struct Reordered<'a>(Initialiser, &'a [usize]);

impl WeightSource for Reordered<'_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let value = self.0.value(spec)?;
        Ok(match value {
            Value::Real(numbers) if is_of_head(&spec.name) => Value::Real(reordered(&numbers, self.1)),
            other => other,
        })
    }
}

fn is_of_head(name: &str) -> bool {
    ["head.", "side1.", "side2."].iter().any(|head| name.starts_with(head))
}

/// One part for each class, in another order.
fn reordered(parts: &[f32], from: &[usize]) -> Vec<f32> {
    let length = parts.len() / from.len();
    from.iter().flat_map(|class| parts[class * length..][..length].to_vec()).collect()
}

fn model(seed: u64, from: &[usize]) -> Model {
    let source = &mut Reordered(Initialiser::new(seed), from);
    Sam2UNet::with_classes(&device(), source, from.len(), BuildOptions::default()).unwrap()
}

/// Patches of all classes, some of their pixels ignored.
fn index(seed: u64, classes: usize) -> Vec<u8> {
    let draws = numbers(seed ^ 0x1D, BATCH * PIXELS);
    let class = |i: usize| ((i % 64 / 11 + i / 64 / 9 + seed as usize % 5) % classes) as u8;
    draws.iter().enumerate().map(|(i, draw)| if *draw > 1.2 { IGNORED } else { class(i) }).collect()
}

/// Loss and gradients of one training pass.
fn pass<'a>(
    model: &mut Model,
    seed: u64,
    targets: impl Into<Targets<'a, usize, S, usize, Dev>>,
    loss: Loss,
) -> (f32, BTreeMap<String, Option<Vec<f32>>>) {
    let loss = model.forward_mut(image::<S>(seed, BATCH).leaky_trace()).loss(targets, loss).unwrap();
    (loss.as_vec()[0], gradients(model, &loss.backward()))
}

fn maps(index: &[u8], classes: usize) -> IndexMaps<usize, S, usize, Dev> {
    IndexMaps::new(&device(), index, (BATCH, classes, Const)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(network_cases(8)))]

    #[test]
    fn gradients_reach_the_trainable_weights_and_nothing_else(
        seed: u64, classes in 2usize..5, labels: bool, script: bool, weighs: bool
    ) {
        let order: Vec<usize> = (0..classes).collect();
        let mut model = model(seed, &order);
        let loss = if script { Loss::PublishedScript } else { Loss::Paper };
        let class_weights: Vec<f32> = (1..=classes).map(|k| k as f32).collect();
        let class_weights = ClassWeights::new(&device(), &class_weights, classes).unwrap();
        let (index, masks) = (maps(&index(seed, classes), classes), numbers(seed, BATCH * classes * PIXELS));
        let masks = masks.into_iter().map(|v| v.clamp(0.0, 1.0)).collect();
        let masks: Masks<usize, S, usize, Dev> = device().tensor_from_vec(masks, (BATCH, classes, Const, Const));
        let targets = if labels { Targets::from(&masks) } else { Targets::from(&index) };
        let targets = if weighs { targets.weighted(&class_weights) } else { targets };
        let (value, found) = pass(&mut model, seed, targets, loss);
        prop_assert!(value.is_finite() && value > 0.0);
        exactly_the_trainable(&Model::specs_for(classes), &found, false);
        for (name, gradient) in found.iter().filter(|(name, _)| is_of_head(name)) {
            // each class learns something in each head
            let gradient = gradient.as_ref().unwrap();
            let parts = gradient.chunks(gradient.len() / classes);
            prop_assert!(parts.into_iter().all(|part| part.iter().any(|g| *g != 0.0)), "{}", name);
        }
    }

    #[test]
    fn masks_of_ignored_pixels_change_nothing(seed: u64, classes in 1usize..4, of_each: bool) {
        let (known, masks) = (numbers(seed ^ 0x2E, BATCH * classes * PIXELS), numbers(seed, BATCH * classes * PIXELS));
        let planes = if of_each { classes } else { 1 };
        let known: Vec<f32> = known[..BATCH * planes * PIXELS].iter().map(|v| f32::from(*v > -1.0)).collect();
        let is_known = |at: usize| {
            let plane = if of_each { at / PIXELS } else { at / PIXELS / classes };
            known[plane * PIXELS + at % PIXELS] != 0.0
        };
        let given = |other: f32| {
            let soft = masks.iter().enumerate().map(|(at, v)| if is_known(at) { v.clamp(0.0, 1.0) } else { other });
            let masks: Masks<usize, S, usize, Dev> =
                device().tensor_from_vec(soft.collect(), (BATCH, classes, Const, Const));
            let known = match of_each {
                true => Known::OfEach(device().tensor_from_vec(known.clone(), (BATCH, classes, Const, Const))),
                false => Known::OfAll(device().tensor_from_vec(known.clone(), (BATCH, Const, Const, Const))),
            };
            let order: Vec<usize> = (0..classes).collect();
            let (value, found) = pass(&mut model(seed, &order), seed, (&masks, &known), Loss::Paper);
            let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let found: Vec<_> = found.into_iter().filter_map(|(name, g)| Some((name, bits(g?)))).collect();
            (value.to_bits(), found)
        };
        let first = given(0.0);
        for other in [1.0, f32::NAN] {
            prop_assert!(first == given(other), "{}", other);
        }
    }

    #[test]
    fn an_order_of_the_classes_orders_the_heads(seed: u64, classes in 2usize..5, turn in 1usize..4) {
        let straight: Vec<usize> = (0..classes).collect();
        // class k of the other model is class `from[k]` of the first
        let from: Vec<usize> = (0..classes).map(|k| (k + turn) % classes).collect();
        let index = index(seed, classes);
        let to = |class: u8| from.iter().position(|k| *k == usize::from(class)).unwrap() as u8;
        let other: Vec<u8> = index.iter().map(|v| if *v == IGNORED { IGNORED } else { to(*v) }).collect();
        let given = |order: &[usize], index: &[u8]| {
            pass(&mut model(seed, order), seed, &maps(index, classes), Loss::Paper)
        };
        let ((value, found), (other_value, other)) = (given(&straight, &index), given(&from, &other));
        prop_assert!((value - other_value).abs() <= 1e-5 * value, "{} {}", value, other_value);
        for (name, gradient) in found {
            let (Some(gradient), Some(other)) = (gradient, &other[&name]) else { continue };
            let wanted = if is_of_head(&name) { reordered(&gradient, &from) } else { gradient };
            let norm = |numbers: &[f32]| numbers.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let off: Vec<f32> = wanted.iter().zip(other).map(|(a, b)| a - b).collect();
            // a gradient that is nothing but rounding is compared with none
            prop_assert!(norm(&off) <= 1e-3 * norm(&wanted) + 1e-5, "{}: {} of {}", name, norm(&off), norm(&wanted));
        }
    }
}
