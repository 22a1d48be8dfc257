//! Pico's maps and logits against the yardstick's, number by number.

use crate::support::devices::on_each_device;
use crate::support::golden::{Golden, Pico};
use crate::support::numbers::{channels_first, close, numbers};
use crate::support::pico::{S64, S96, pico, tensor};
use dfdx::nn::Module;
use dfdx::prelude::*;
use sam2unet::nn::{Backend, Image, Sam2UNet, Side};

on_each_device! { pico_eval, pico_eval_at_other_sides }

fn pico_eval<D: Backend>(device: &D) {
    let Some((model, expected)) = pico(device) else {
        return;
    };
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let check = |what: &str, found: &[f32]| {
        let expected = &expected.get(&format!("eval.{what}")).numbers;
        close(what, found, expected, 1e-4);
    };
    let (x1, x2, x3, x4) = model.encoder.forward(x.clone());
    check("feature1", &channels_first(&x1));
    check("feature2", &channels_first(&x2));
    check("feature3", &channels_first(&x3));
    check("feature4", &channels_first(&x4));
    check("rfb1", &channels_first(&model.rfb1.forward(x1)));
    check("rfb2", &channels_first(&model.rfb2.forward(x2)));
    check("rfb3", &channels_first(&model.rfb3.forward(x3)));
    check("rfb4", &channels_first(&model.rfb4.forward(x4)));
    let y = model.forward(x);
    check("head", &numbers(&y.head));
    check("side1", &numbers(&y.side1));
    check("side2", &numbers(&y.side2));
}

fn pico_eval_at_other_sides<D: Backend>(device: &D) {
    let Some((model, expected)) = pico(device) else {
        return;
    };
    fn check<S: Side + ConstDim, D: Backend>(device: &D, model: &Sam2UNet<Pico, D>, expected: &Golden, name: &str) {
        let x: Image<Const<1>, S, D> = tensor(device, expected, &format!("{name}.image"));
        let found = numbers(&model.forward(x).head);
        let head = &expected.get(&format!("{name}.head")).numbers;
        close(name, &found, head, 1e-4);
    }
    check::<S64, D>(device, &model, &expected, "eval_r64");
    check::<Const<160>, D>(device, &model, &expected, "eval_r160");
}
