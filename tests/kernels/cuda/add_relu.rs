//! Sums with a ReLU.

use crate::support::case::{Case, Given, How, check, given, map, numbers};
use dfdx::prelude::*;
use sam2unet::nn::Backend;
use sam2unet::nn::ops;

struct AddRelu(usize);

impl Case for AddRelu {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        // halves, so that sums meet zero
        let values = |seed| numbers(2 * self.0 * self.0 * 3, seed).iter().map(|v| (v * 2.0).round() / 2.0).collect();
        let mut spoilt: Vec<f32> = values(1);
        spoilt[2] = f32::NAN;
        let a = map::<Const<3>, D>(device, spoilt, 2, self.0);
        let b = map::<Const<3>, D>(device, values(2), 2, self.0);
        given!(device, [a, b], |a| ops::add_relu(a, b.leaky_trace()).unwrap())
    }
}

#[test]
fn sum_with_relu() {
    for side in [1, 7, 20] {
        check(&AddRelu(side), 0.0);
    }
}
