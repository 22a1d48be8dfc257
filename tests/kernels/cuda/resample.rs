//! Maps of twice the side, and logits at the image's side.

use crate::support::case::{Case, Given, How, Traced, check, given, map, numbers};
use dfdx::prelude::*;
use sam2unet::nn::Backend;
use sam2unet::nn::ops;

struct Join {
    batch: usize,
    half: usize,
}

impl Case for Join {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let (batch, half) = (self.batch, self.half);
        let skip = map::<Const<3>, D>(device, numbers(batch * 4 * half * half * 3, 1), batch, 2 * half);
        let deep = map::<Const<3>, D>(device, numbers(batch * half * half * 3, 2), batch, half);
        given!(device, [skip, deep], |skip| -> Traced<Const<6>, D> {
            ops::up2_concat(skip, deep.leaky_trace()).unwrap()
        })
    }
}

#[test]
fn doubling_beside_a_skip() {
    for (batch, half) in [(1, 1), (2, 2), (1, 5), (3, 11), (1, 22)] {
        check(&Join { batch, half }, 1e-5);
    }
}

struct Resize {
    batch: usize,
    from: usize,
    to: usize,
}

impl Case for Resize {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let x = map::<Const<2>, D>(device, numbers(self.batch * self.from * self.from * 2, 1), self.batch, self.from);
        given!(device, [x], |x| ops::resize::<usize, _, _, _, _, _>(x, self.to).unwrap())
    }
}

#[test]
fn resizing_to_the_image() {
    for (batch, from, to) in [(1, 1, 32), (2, 2, 32), (1, 6, 96), (3, 5, 80), (1, 24, 96), (2, 11, 352)] {
        check(&Resize { batch, from, to }, 1e-5);
    }
}
