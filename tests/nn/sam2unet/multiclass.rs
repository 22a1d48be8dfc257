//! Pico with three classes, known at run time, against the yardstick's: outputs, losses, gradients and five steps.

use crate::support::devices::on_each_device;
use crate::support::golden::{Golden, Pico};
use crate::support::numbers::{close, differences, gradients, norm, numbers};
use crate::support::pico::{EXPECTED, S96, WEIGHTS, ZERO, tensor, values};
use dfdx::nn::{Module, ModuleMut, ZeroGrads};
use dfdx::prelude::*;
use sam2unet::nn::weights::Value;
use sam2unet::nn::{
    Backend, BuildOptions, ClassWeights, IGNORED, Image, IndexMaps, Known, Loss, Masks, Sam2UNet, Targets,
};
use sam2unet::train::{AdamW, AdamWConfig};
use std::collections::BTreeMap;

on_each_device! { pico_of_three_classes, losses_and_gradients_of_three_classes, five_steps_of_three_classes }

const CLASSES: usize = 3;

type Model<D> = Sam2UNet<Pico, D, usize>;
type Batch = Const<2>;
type Images<D> = Image<Batch, S96, D>;
type Three<'a, D> = Targets<'a, Batch, S96, usize, D>;

/// The model, its image and what is expected of it.
fn three<D: Backend>(device: &D) -> Option<(Model<D>, Images<D>, Golden)> {
    let (mut weights, one) = (Golden::open(WEIGHTS)?, Golden::open(EXPECTED)?);
    let expected = Golden::open("golden/multiclass/pico.safetensors")?;
    let heads: Vec<_> =
        expected.under("weights.").into_iter().map(|(name, array)| (name.to_string(), array.clone())).collect();
    assert_eq!(heads.len(), 6);
    weights.0.extend(heads);
    let model = Sam2UNet::with_classes(device, &mut weights, CLASSES, BuildOptions::default()).unwrap();
    Some((model, tensor(device, &one, "image"), expected))
}

fn index<D: Backend>(device: &D, expected: &Golden) -> IndexMaps<Batch, S96, usize, D> {
    IndexMaps::new(device, &expected.get("index").u8(), (Const, CLASSES, Const)).unwrap()
}

/// Every fourth pixel of every fourth row.
fn every4(planes: Vec<f32>) -> Vec<f32> {
    planes.chunks_exact(96).step_by(4).flat_map(|row| row.iter().copied().step_by(4)).collect()
}

fn pico_of_three_classes<D: Backend>(device: &D) {
    let Some((model, x, expected)) = three(device) else { return };
    let y = model.forward(x);
    let found =
        [("head", numbers(&y.head)), ("side1", every4(numbers(&y.side1))), ("side2", every4(numbers(&y.side2)))];
    for (name, found) in found {
        let name = format!("eval.{name}");
        close(&name, &found, &expected.get(&name).numbers, 1e-4);
    }
}

/// Holds gradients against the file's. Where the exact gradient is zero, its size is taken to be a millionth of the
/// largest.
fn check_gradients(expected: &Golden, of: &str, found: &BTreeMap<String, Vec<f32>>) {
    let norms = expected.under(&format!("train.{of}.grad_norm."));
    assert!(norms.iter().map(|(name, _)| *name).eq(found.keys()), "{of}: the same set of weights");
    let largest = norms.iter().fold(0.0, |most: f64, (_, array)| most.max(array.numbers[0]));
    let mut worst = [(0.0, String::new()), (0.0, String::new())];
    let mut hold = |name: &str, error: f64, size: f64, pytorch: f64| {
        let zero = ZERO.contains(&name);
        let error = error / if zero { 1e-6 * largest } else { size };
        let place = &mut worst[usize::from(zero)];
        if error > place.0 {
            *place = (error, name.to_string());
        }
        assert!(error <= f64::max(1e-5, 3.0 * pytorch), "{of}, {name}: {error:e}, PyTorch {pytorch:e}");
    };
    let error_of = |what: &str, name: &str| expected.scalar(&format!("float32_error.train.{of}.{what}.{name}"));
    for (name, array) in norms {
        let (own, wanted) = (norm(found[name].iter().map(|g| f64::from(*g))), array.numbers[0]);
        hold(name, (own - wanted).abs(), wanted, error_of("grad_norm", name));
    }
    if expected.0.keys().any(|name| name.starts_with(&format!("train.{of}.grad."))) {
        for (name, array) in expected.under(&format!("train.{of}.grad.")) {
            let (error, size) = (norm(differences(&found[name], &array.numbers)), norm(array.numbers.iter().copied()));
            hold(name, error, size, error_of("grad", name));
        }
    }
    println!("{of}: worst gradient {:?}, of those that are zero {:?}", worst[0], worst[1]);
}

fn losses_and_gradients_of_three_classes<D: Backend>(device: &D) {
    let Some((model, x, expected)) = three(device) else { return };
    let (index, bytes) = (index(device, &expected), expected.get("index").u8());
    let class_weights = ClassWeights::new(device, &[0.5, 1.0, 3.0], CLASSES).unwrap();
    // three labels that overlap
    let label = |is: fn(u8) -> bool| {
        bytes.chunks(96 * 96).map(move |image| image.iter().map(|v| f32::from(is(*v))).collect::<Vec<_>>())
    };
    let planes = label(|v| v == 1 || v == 2).zip(label(|v| v == 2)).zip(label(|v| v == 0));
    let masks = planes.flat_map(|((a, b), c)| [a, b, c].concat()).collect();
    let masks: Masks<Batch, S96, usize, D> = device.tensor_from_vec(masks, (Const, CLASSES, Const, Const));
    let known = label(|v| v != IGNORED).flatten().collect();
    let known = Known::OfAll(device.tensor_from_vec(known, (Const, Const, Const, Const)));
    let cases: [(&str, Three<'_, D>, Loss); 4] = [
        ("paper", (&index).into(), Loss::Paper),
        ("published_script", (&index).into(), Loss::PublishedScript),
        ("class_weights", Targets::from(&index).weighted(&class_weights), Loss::Paper),
        ("labels", (&masks, &known).into(), Loss::Paper),
    ];
    for (of, targets, loss) in cases {
        let mut model = model.clone();
        let outputs = model.forward_mut(x.leaky_trace());
        for (name, found) in
            [("head", numbers(&outputs.head)), ("side1", numbers(&outputs.side1)), ("side2", numbers(&outputs.side2))]
        {
            let name = format!("train.{name}.every4");
            close(&name, &every4(found), &expected.get(&name).numbers, 1e-4);
        }
        let loss = outputs.loss(targets, loss).unwrap();
        let (found, wanted) = (f64::from(loss.as_vec()[0]), expected.scalar(&format!("train.{of}.loss")));
        println!("{of}: loss off by {:.1e}", found / wanted - 1.0);
        assert!((found / wanted - 1.0).abs() <= 1e-6, "{of}: {found} {wanted}");
        check_gradients(&expected, of, &gradients(&model, &loss.backward()));
    }
}

fn five_steps_of_three_classes<D: Backend>(device: &D) {
    let Some((mut model, x, expected)) = three(device) else { return };
    let (index, before) = (index(device, &expected), values(&model));
    let mut optimiser = AdamW::new(AdamWConfig::default());
    let mut gradients = model.alloc_grads();
    let [rates, losses] = ["steps.lr", "steps.loss"].map(|name| &expected.get(name).numbers);
    assert_eq!((rates.len(), losses.len()), (5, 5), "learning rates and losses of the golden file");
    for (rate, wanted) in rates.iter().zip(losses) {
        let loss = model.forward_mut(x.trace(gradients)).loss(&index, Loss::Paper).unwrap();
        let found = f64::from(loss.as_vec()[0]);
        assert!((found / wanted - 1.0).abs() < 1e-4, "{found} {wanted}");
        gradients = loss.backward();
        optimiser.update(&mut model, &gradients, *rate).unwrap();
        model.zero_grads(&mut gradients);
    }
    let (mut changed, mut whole) = (0, 0);
    for (name, (_, value)) in &values(&model) {
        let Value::Real(found) = value else { continue };
        let Some(wanted) = expected.0.get(&format!("steps.after_norm.{name}")) else {
            if let Some(wanted) = expected.0.get(&format!("steps.after.{name}")) {
                // a running statistic
                let (error, size) = (norm(differences(found, &wanted.numbers)), norm(wanted.numbers.iter().copied()));
                assert!(error <= 2e-3 * size, "{name}: {error:e} of {size:e}");
                whole += 1;
            } else if !name.contains("running_") || name.starts_with("up4.") {
                assert_eq!(before[name].1, *value, "{name} must not change");
            }
            continue;
        };
        changed += 1;
        if ZERO.contains(&name.as_str()) {
            // the optimiser makes whole steps out of a gradient that is only rounding
            let Value::Real(before) = &before[name].1 else { unreachable!("a weight") };
            assert!(found.iter().zip(before).all(|(now, before)| (now - before).abs() <= 5e-3), "{name}");
            continue;
        }
        let (own, wanted) = (norm(found.iter().map(|v| f64::from(*v))), wanted.numbers[0]);
        assert!((own - wanted).abs() <= 2e-3 * wanted, "{name}: {own} {wanted}");
        if let Some(wanted) = expected.0.get(&format!("steps.after.{name}")) {
            let (error, size) = (norm(differences(found, &wanted.numbers)), norm(wanted.numbers.iter().copied()));
            assert!(error <= 2e-3 * size, "{name}: {error:e} of {size:e}");
            whole += 1;
        }
    }
    let counts = [expected.under("steps.after_norm.").len(), expected.under("steps.after.").len()];
    assert_eq!([changed, whole], counts);
}
