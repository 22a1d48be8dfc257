//! Pico in bf16 and TF32: how far from single precision.

use crate::support::devices::{offers, on_each_device};
use crate::support::golden::{Golden, Pico};
use crate::support::numbers::{differences, gradients, norm, numbers};
use crate::support::pico::{EXPECTED, S96, WEIGHTS, of, tensor};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use sam2unet::nn::weights::{Role, Value};
use sam2unet::nn::{Backend, Image, Loss, Masks, Precision, Sam2UNet};

on_each_device! { pico_in_bf16, pico_in_tf32 }

/// Norm of the difference, of the expected norm.
fn relative(found: &[f32], expected: &[f64]) -> f64 {
    norm(differences(found, expected)) / norm(expected.iter().copied())
}

fn pico_in_bf16<D: Backend>(device: &D) {
    // Pico's last map is 3x3, and its batch norms make much of little: PyTorch's bf16 autocast differs by 0.23.
    pico_in(device, Precision::Bf16, Rounding { logits: 2e-2, loss: 1e-2, norm: 5e-2, gradient: 0.23 });
}

fn pico_in_tf32<D: Backend>(device: &D) {
    if device.description() != "cpu" {
        pico_in(device, Precision::Tf32, Rounding { logits: 2e-3, loss: 1e-3, norm: 1e-2, gradient: 0.1 });
    } else {
        assert!(!device.supports(Precision::Tf32), "only GPUs know TF32");
    }
}

/// How far a precision may be from single precision, in parts of the norm.
struct Rounding {
    logits: f64,
    loss: f64,
    /// Of the norm of all gradients.
    norm: f64,
    /// Of their difference.
    gradient: f64,
}

fn pico_in<D: Backend>(device: &D, precision: Precision, most: Rounding) {
    let Some((mut weights, expected)) = Golden::open(WEIGHTS).zip(Golden::open(EXPECTED)) else {
        return;
    };
    if !offers(device, precision) {
        return;
    }
    let mut model = Sam2UNet::<Pico, D>::with_options(device, &mut weights, of(precision)).unwrap();
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let outputs = model.forward(x);
    for (name, found) in
        [("head", numbers(&outputs.head)), ("side1", numbers(&outputs.side1)), ("side2", numbers(&outputs.side2))]
    {
        let error = relative(&found, &expected.get(&format!("eval.{name}")).numbers);
        println!("{name} in {}: {error:.1e}", precision.name());
        assert!(error < most.logits, "{name}: {error:e}");
    }
    let found = {
        let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, &expected, "mask");
        let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
        let loss = model.forward_mut(x.leaky_trace()).loss(&y, Loss::Paper).unwrap();
        let value = f64::from(loss.as_vec()[0]);
        let wanted = expected.scalar("train.paper.loss");
        assert!((value / wanted - 1.0).abs() < most.loss, "{value} {wanted}");
        gradients(&model, &loss.backward())
    };
    let wanted = expected.under("train.paper.grad.");
    assert!(wanted.iter().map(|(name, _)| *name).eq(found.keys()), "the same set of weights");
    let wanted: Vec<f64> = wanted.into_iter().flat_map(|(_, array)| array.numbers.iter().copied()).collect();
    let found: Vec<f32> = found.into_values().flatten().collect();
    let length = norm(found.iter().map(|g| f64::from(*g))) / norm(wanted.iter().copied()) - 1.0;
    let error = relative(&found, &wanted);
    println!("all gradients in {}: norm off by {length:.1e}, difference {error:.1e} of it", precision.name());
    assert!(length.abs() < most.norm, "{length:e}");
    assert!(error < most.gradient, "{error:e}");

    // what the model holds is what it computes with
    let mut matrices = 0;
    model.each_value(&mut |spec, value| {
        if let Value::Real(held) = value
            && spec.role == Role::Frozen
            && spec.shape.len() == 2
        {
            matrices += 1;
            let given = weights.get(&spec.name).f32();
            let round = |v| if precision == Precision::Bf16 { half::bf16::from_f32(v).to_f32() } else { v };
            assert!(held.into_iter().eq(given.into_iter().map(round)), "{}", spec.name);
        }
    });
    assert_eq!(matrices, 4 * 7 + 3, "of seven blocks, of which three pool");
}
