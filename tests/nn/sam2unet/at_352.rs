//! The published sizes at 352 against the yardstick's.

use crate::support::devices::on_each_device;
use crate::support::golden::{Golden, Synthetic, batch};
use crate::support::numbers::{channels_first, close, gradients, norm, numbers};
use dfdx::nn::{Module, ModuleMut, ZeroGrads};
use dfdx::prelude::*;
use sam2unet::nn::{Backend, BasePlus, Image, Large, Loss, Masks, Sam2UNet, Small, Tiny, Variant};

on_each_device! { tiny_at_352, large_at_352 }

fn at_352<V: Variant, D: Backend>(device: &D, file: &str, hold: Hold) {
    let Some(expected) = Golden::open(file) else {
        return;
    };
    type S = Const<352>;
    let mut model: Sam2UNet<V, D> = Sam2UNet::from_source(device, &mut Synthetic).unwrap();
    let (x, y) = batch(352, 1);
    let x: Image<Const<1>, S, D> = device.tensor_from_vec(x, Default::default());
    let y: Masks<Const<1>, S, Const<1>, D> = device.tensor_from_vec(y, Default::default());

    let every = |what: String, found: Vec<f32>| {
        close(&what, &found, &expected.get(&what).numbers, 1e-4);
    };
    let every61 = |what: &str, found: Vec<f32>| {
        let found = found.into_iter().step_by(61).collect();
        every(format!("eval.{what}.every61"), found);
    };
    let (x1, x2, x3, x4) = model.encoder.forward(x.clone());
    every61("feature1", channels_first(&x1));
    every61("feature2", channels_first(&x2));
    every61("feature3", channels_first(&x3));
    every61("feature4", channels_first(&x4));
    every61("rfb1", channels_first(&model.rfb1.forward(x1)));
    every61("rfb2", channels_first(&model.rfb2.forward(x2)));
    every61("rfb3", channels_first(&model.rfb3.forward(x3)));
    every61("rfb4", channels_first(&model.rfb4.forward(x4)));
    let outputs = model.forward(x.clone());
    let every4 = |what: &str, found: Vec<f32>| {
        let rows = found.chunks_exact(352).step_by(4);
        let found = rows.flat_map(|row| row.iter().copied().step_by(4));
        every(format!("eval.{what}.every4"), found.collect());
    };
    every4("head", numbers(&outputs.head));
    every4("side1", numbers(&outputs.side1));
    every4("side2", numbers(&outputs.side2));

    let outputs = model.forward_mut(x.traced(model.alloc_grads()));
    let loss = outputs.loss(&y, Loss::Paper).unwrap();
    let (value, wanted) = (f64::from(numbers(&loss)[0]), expected.scalar("train.loss"));
    assert!((value / wanted - 1.0).abs() < 1e-5, "{value} {wanted}");
    let found = gradients(&model, &loss.backward());
    assert_eq!(expected.under("train.grad_norm.").len(), found.len());
    let (mut errors, mut theirs, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for (name, array) in expected.under("train.grad_norm.") {
        let own = norm(found[name].iter().map(|x| f64::from(*x)));
        let error = (own / array.numbers[0] - 1.0).abs();
        let pytorch = expected.scalar(&format!("float32_error.train.grad_norm.{name}"));
        errors.push(error);
        theirs.push(pytorch);
        if !error.is_finite() || error > f64::max(3.0 * pytorch, 1e-3) {
            outside.push(format!("{name}: {error:e}, PyTorch {pytorch:e}"));
        }
    }
    let quantiles = |errors: &mut Vec<f64>| {
        errors.sort_by(f64::total_cmp);
        [50, 90, 100].map(|share| errors[(errors.len() - 1) * share / 100])
    };
    let (own, theirs) = (quantiles(&mut errors), quantiles(&mut theirs));
    println!(
        "gradient norms: errors' median, 90 % and worst {own:?}, PyTorch's single precision {theirs:?}; {} of {} off \
         by more than 1e-3 and three times PyTorch's",
        outside.len(),
        errors.len()
    );
    match hold {
        Hold::EachNorm => assert!(outside.is_empty(), "{outside:#?}"),
        Hold::Distribution => {
            assert!(own.iter().zip(&theirs).all(|(own, theirs)| *own <= 0.5 * theirs), "{own:?} {theirs:?}");
        }
    }
}

/// What is held against PyTorch's single precision, both measured from double precision.
enum Hold {
    /// Each norm is as near as 1e-3 or three times PyTorch's distance.
    EachNorm,
    /// The errors' median, 90 % and worst are at most half of PyTorch's. With these weights Large's third map grows to
    /// 1e5, and most gradients are small differences of large numbers: which norms a single-precision run gets right
    /// within 1e-3 differs from run to run. PyTorch itself, run again on another processor, has 21 of the 396 norms
    /// outside of three times the recorded errors, and 17 with all but the trunk in double precision; this crate 9.
    Distribution,
}

fn tiny_at_352<D: Backend>(device: &D) {
    at_352::<Tiny, D>(device, "golden/tiny_352.safetensors", Hold::EachNorm);
}

#[test]
fn small_at_352() {
    at_352::<Small, _>(&Cpu::default(), "golden/small_352.safetensors", Hold::EachNorm);
}

#[test]
fn base_plus_at_352() {
    at_352::<BasePlus, _>(&Cpu::default(), "golden/base_plus_352.safetensors", Hold::EachNorm);
}

fn large_at_352<D: Backend>(device: &D) {
    at_352::<Large, D>(device, "golden/large_352.safetensors", Hold::Distribution);
}
