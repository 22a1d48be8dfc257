//! Pico's losses and the gradient of every weight against the yardstick's.

use crate::support::devices::on_each_device;
use crate::support::golden::{Golden, Pico};
use crate::support::numbers::{close, differences, gradients, norm, numbers};
use crate::support::pico::{EXPECTED, S96, WEIGHTS, ZERO, pico, tensor};
use dfdx::nn::ModuleMut;
use dfdx::prelude::*;
use sam2unet::nn::{Backend, BuildOptions, Image, Loss, Masks, MemoryUse, Sam2UNet};
use std::collections::BTreeMap;

on_each_device! { pico_loss_and_every_gradient, pico_the_published_scripts_loss }

/// Loss and gradients of one training pass, from the published weights.
fn pico_pass<D: Backend>(
    device: &D,
    model: &mut Sam2UNet<Pico, D>,
    expected: &Golden,
    loss: Loss,
) -> (f64, BTreeMap<String, Vec<f32>>) {
    let x: Image<Const<2>, S96, D> = tensor(device, expected, "image");
    let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, expected, "mask");
    let outputs = model.forward_mut(x.leaky_trace());
    if loss == Loss::Paper {
        for (name, found) in
            [("head", numbers(&outputs.head)), ("side1", numbers(&outputs.side1)), ("side2", numbers(&outputs.side2))]
        {
            let name = format!("train.{name}");
            close(&name, &found, &expected.get(&name).numbers, 1e-4);
        }
    }
    let loss = outputs.loss(&y, loss).unwrap();
    let value = f64::from(loss.as_vec()[0]);
    (value, gradients(model, &loss.backward()))
}

fn pico_loss_and_every_gradient<D: Backend>(device: &D) {
    let (Some(mut weights), Some(expected)) = (Golden::open(WEIGHTS), Golden::open(EXPECTED)) else {
        return;
    };
    let mut least = None;
    for memory in [MemoryUse::Small, MemoryUse::Balanced, MemoryUse::Fast] {
        let options = BuildOptions { memory, ..BuildOptions::default() };
        let mut model = Sam2UNet::with_options(device, &mut weights, options).unwrap();
        let (loss, found) = pico_pass(device, &mut model, &expected, Loss::Paper);
        let wanted = expected.scalar("train.paper.loss");
        assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");

        let all = expected.under("train.paper.grad.");
        let total = norm(all.into_iter().flat_map(|(_, array)| array.numbers.iter().copied()));
        let mut worst = (0.0, "");
        let mut names = Vec::new();
        for (name, array) in expected.under("train.paper.grad.") {
            let off = differences(&found[name], &array.numbers);
            if ZERO.contains(&name) {
                assert!(off.iter().all(|d| d.abs() < 5e-3), "{name}");
            } else {
                let own = norm(array.numbers.iter().copied());
                let difference = norm(off);
                assert!(difference <= 1e-3 * own + 1e-7 * total, "{name}: {difference:e} of {own:e}");
                if difference / own > worst.0 {
                    worst = (difference / own, name);
                }
            }
            names.push(name);
        }
        println!("{memory:?}: worst gradient {worst:?}");
        assert!(names.iter().eq(found.keys()), "the same set of weights");
        // what is kept is what would be computed again
        let bits: Vec<u32> = found.values().flatten().map(|g| g.to_bits()).collect();
        assert_eq!(least.get_or_insert(bits.clone()), &bits, "{memory:?}");
    }
}

fn pico_the_published_scripts_loss<D: Backend>(device: &D) {
    let Some((mut model, expected)) = pico(device) else {
        return;
    };
    let (loss, found) = pico_pass(device, &mut model, &expected, Loss::PublishedScript);
    let wanted = expected.scalar("train.published_script.loss");
    assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");
    let prefix = "train.published_script.grad.";
    let total = norm(expected.under(prefix).into_iter().map(|(_, array)| array.numbers[0]));
    assert_eq!(expected.under(prefix).len(), found.len());
    for (name, array) in expected.under(prefix) {
        let own = norm(found[name].iter().map(|x| f64::from(*x)));
        let wanted = array.numbers[0];
        let tolerance = if ZERO.contains(&name) { 5e-3 } else { 1e-3 * wanted + 1e-7 * total };
        assert!((own - wanted).abs() <= tolerance, "{name}: {own} {wanted}");
    }
}
