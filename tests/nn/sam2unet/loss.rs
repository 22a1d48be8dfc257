//! The loss of several classes.

use crate::support::pico::{S64, mask};
use dfdx::prelude::*;
use sam2unet::nn::{Loss, Masks, Outputs};

#[test]
fn several_classes_are_averaged() {
    let device = Cpu::default();
    type Two = Masks<Const<1>, S64, Const<2>, Cpu>;
    let logits = || -> Two { device.sample_normal() };
    let two = Outputs { head: logits(), side1: logits(), side2: logits() };
    let truth: Two = mask(Const::<1>);
    let class = |k: usize, of: &Two| -> Masks<Const<1>, S64, Const<1>, Cpu> {
        let numbers = of.as_vec()[k * 64 * 64..][..64 * 64].to_vec();
        device.tensor_from_vec(numbers, Default::default())
    };
    let one = |k: usize| {
        let outputs = Outputs { head: class(k, &two.head), side1: class(k, &two.side1), side2: class(k, &two.side2) };
        let loss = outputs.loss(&class(k, &truth), Loss::Paper);
        loss.unwrap().array()
    };
    let expected = (one(0) + one(1)) / 2.0;
    let found = two.loss(&truth, Loss::Paper).unwrap().array();
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
}
