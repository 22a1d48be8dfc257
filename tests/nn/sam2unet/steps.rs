//! Five training steps of Pico against the yardstick's, by dfdx's optimiser and by our own.

use crate::support::devices::on_each_device;
use crate::support::golden::Pico;
use crate::support::numbers::{differences, norm};
use crate::support::pico::{S96, ZERO, pico, tensor, values};
use dfdx::nn::{ModuleMut, ZeroGrads};
use dfdx::optim::{Adam, Optimizer};
use dfdx::prelude::*;
use sam2unet::nn::weights::Value;
use sam2unet::nn::{Backend, Image, Loss, Masks, Sam2UNet};
use sam2unet::train::{AdamW, AdamWConfig};

on_each_device! { pico_five_steps_of_dfdx_adam, pico_five_steps_of_our_adamw }

/// Five steps at the yardstick's rates, each made by `step(model, gradients, rate)`.
fn pico_steps<D: Backend>(device: &D, mut step: impl FnMut(&mut Sam2UNet<Pico, D>, &Gradients<f32, D>, f64)) {
    let Some((mut model, expected)) = pico(device) else {
        return;
    };
    let before = values(&model);
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, &expected, "mask");
    let mut gradients = model.alloc_grads();
    let [rates, losses] = ["steps.lr", "steps.loss"].map(|name| &expected.get(name).numbers);
    assert_eq!((rates.len(), losses.len()), (5, 5), "learning rates and losses of the golden file");
    for (rate, wanted) in rates.iter().zip(losses) {
        let outputs = model.forward_mut(x.trace(gradients));
        let loss = outputs.loss(&y, Loss::Paper).unwrap();
        let value = f64::from(loss.as_vec()[0]);
        assert!((value / wanted - 1.0).abs() < 1e-4, "{value} {wanted}");
        gradients = loss.backward();
        step(&mut model, &gradients, *rate);
        model.zero_grads(&mut gradients);
    }
    let after = values(&model);
    let mut changed = 0;
    for (name, (_, value)) in &after {
        match (expected.0.get(&format!("steps.after.{name}")), value) {
            (Some(wanted), Value::Real(found)) => {
                let off = differences(found, &wanted.numbers);
                if ZERO.contains(&name.as_str()) {
                    // the optimiser makes whole steps out of a gradient that is only rounding
                    assert!(off.iter().all(|d| d.abs() <= 5e-3), "{name}");
                } else {
                    let difference = norm(off);
                    let own = norm(wanted.numbers.iter().copied());
                    assert!(difference <= 2e-3 * own, "{name}: {difference:e} of {own:e}");
                }
                changed += 1;
            }
            (None, Value::Count(count)) => assert_eq!(*count, if name.starts_with("up4.") { 0 } else { 5 }),
            _ => assert_eq!(before[name].1, *value, "{name} must not change"),
        }
    }
    assert_eq!(changed, expected.under("steps.after.").len());
}

fn pico_five_steps_of_dfdx_adam<D: Backend>(device: &D) {
    let mut adam = None;
    pico_steps(device, |model, gradients, rate| {
        let adam = adam.get_or_insert_with(|| {
            let weight_decay = Some(WeightDecay::Decoupled(5e-4));
            let config = AdamConfig { weight_decay, ..Default::default() };
            Adam::new(model, config)
        });
        adam.cfg.lr = rate;
        adam.update(model, gradients).unwrap();
    });
}

fn pico_five_steps_of_our_adamw<D: Backend>(device: &D) {
    let mut adamw = AdamW::new(AdamWConfig::default());
    pico_steps(device, |model, gradients, rate| adamw.update(model, gradients, rate).unwrap());
}
