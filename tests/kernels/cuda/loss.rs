//! Losses, and the weights of their pixels.

use crate::support::case::{Case, Given, How, check, numbers};
use dfdx::prelude::*;
use sam2unet::nn::Backend;
use sam2unet::nn::ops;

struct Loss {
    batch: usize,
    side: usize,
    cross_entropy: ops::CrossEntropy,
    soft: bool,
    spoil: bool,
}

impl Case for Loss {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let (side, n) = (self.side, self.batch * 2 * self.side * self.side);
        let shape = (self.batch, Const::<2>, side, side);
        let mut values: Vec<f32> = numbers(n, 1).iter().map(|v| 20.0 * v * v * v).collect();
        if self.spoil {
            values[7] = f32::NAN;
        }
        let truth = (0..n).map(|i| {
            let (x, y) = ((i % side) as f32, (i / side % side) as f32);
            let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 9.0) / 3.0;
            if self.soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
        });
        let x = device.tensor_from_vec(values, shape);
        let truth = device.tensor_from_vec(truth.collect(), shape);
        let weights = ops::loss_weights(&truth).unwrap();
        let (mut gradients, mut value) = (Gradients::leaky(), Vec::new());
        for _ in 0..2 {
            let y = ops::structure_loss(x.trace(gradients), &truth, &weights, self.cross_entropy).unwrap();
            value = y.as_vec();
            gradients = (y * 0.7).backward();
        }
        let gradient = gradients.get(&x).as_vec();
        vec![("value".into(), value), ("gradient".into(), gradient), ("weights".into(), weights.as_vec())]
    }
}

#[test]
fn losses_and_their_weights() {
    for (batch, side, soft, spoil) in
        [(1, 32, false, false), (2, 64, true, false), (1, 96, false, false), (2, 128, true, false), (2, 32, true, true)]
    {
        for cross_entropy in [ops::CrossEntropy::Weighted, ops::CrossEntropy::Plain] {
            check(&Loss { batch, side, cross_entropy, soft, spoil }, 1e-5);
        }
    }
}
