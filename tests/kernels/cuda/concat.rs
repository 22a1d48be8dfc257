//! Maps side by side.

use crate::support::case::{Case, Given, How, Traced, check, given, map, numbers};
use dfdx::prelude::*;
use sam2unet::nn::Backend;
use sam2unet::nn::ops;

struct Concat(usize);

impl Case for Concat {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let [a, b, c, d] =
            [1, 2, 3, 4].map(|seed| map::<Const<5>, D>(device, numbers(2 * self.0 * self.0 * 5, seed), 2, self.0));
        given!(device, [a, b, c, d], |a| -> Traced<Const<20>, D> {
            ops::concat4([a, b.leaky_trace(), c.leaky_trace(), d.leaky_trace()]).unwrap()
        })
    }
}

#[test]
fn concatenation() {
    for side in [1, 3, 11] {
        check(&Concat(side), 0.0);
    }
}
