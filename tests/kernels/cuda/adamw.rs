//! The optimiser's step.

use crate::support::case::{Case, Given, How, check, numbers};
use dfdx::prelude::*;
use sam2unet::kernels::adamw::{AdamWKernel, AdamWStep};
use sam2unet::nn::Backend;

/// A step of AdamW on the device, from moments that are no zeros.
struct Step;

impl Case for Step {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let n = 1003;
        let mut w: Tensor<Rank1<1003>, f32, D> = device.tensor_from_vec(numbers(n, 1), Default::default());
        let g: Tensor<Rank1<1003>, f32, D> = device.tensor_from_vec(numbers(n, 2), Default::default());
        let second: Vec<f32> = numbers(n, 4).iter().map(|v| v * v).collect();
        let (mut m, mut v) = (device.store(&numbers(n, 3)).unwrap(), device.store(&second).unwrap());
        let step = AdamWStep {
            keep: 0.999,
            first_new: 0.1,
            second_keep: 0.999,
            second_new: 1e-3,
            second_scale: 0.7,
            epsilon: 1e-8,
            step_size: 0.03,
        };
        let gradient = device.view(&g);
        device
            .renew(&mut w, |k, old, new| {
                k.adamw(&step, old, &gradient, [D::slice_mut(&mut m), D::slice_mut(&mut v)], new)
            })
            .unwrap();
        let numbers = [w.as_vec(), device.fetch(&m).unwrap(), device.fetch(&v).unwrap()];
        ["weight", "first", "second"].map(String::from).into_iter().zip(numbers).collect()
    }
}

#[test]
fn a_step_of_adamw_is_the_cpus_to_the_bit() {
    check(&Step, 0.0);
}
