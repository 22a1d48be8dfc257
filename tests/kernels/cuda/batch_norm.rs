//! Batch norms.

use crate::support::case::{Case, Given, How, check, given, map, numbers, weight};
use dfdx::prelude::*;
use sam2unet::nn::Backend;
use sam2unet::nn::ops;

struct BatchNorm<const C: usize> {
    batch: usize,
    side: usize,
    relu: bool,
    offset: f32,
    spoil: bool,
}

impl<const C: usize> Case for BatchNorm<C> {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * C, 1);
        values.iter_mut().for_each(|v| *v += self.offset);
        if self.spoil {
            values[1] = f32::NAN;
        }
        let x = map::<Const<C>, D>(device, values, self.batch, self.side);
        let (scale, bias) = (weight::<Rank1<C>, D>(device, 2, 1.0), weight::<Rank1<C>, D>(device, 3, 1.0));
        let run = |x| ops::batch_norm(x, &scale, &bias, self.relu).unwrap();
        let [mean, variance] = run(x.leaky_trace()).1;
        let mut given = given!(device, [x, scale, bias], |x| run(x).0);
        given.push(("mean".into(), mean.as_vec()));
        given.push(("variance".into(), variance.as_vec()));
        given
    }
}

#[test]
fn batch_norm() {
    for (batch, side, relu, offset, spoil) in [
        (1, 2, false, 0.0, false),
        (2, 5, true, 0.0, false),
        (3, 23, false, 2.0, false), // more rows than one block sums
        (2, 17, true, 0.5, false),
        (2, 6, true, 0.0, true),
    ] {
        check(&BatchNorm::<6> { batch, side, relu, offset, spoil }, 2e-5);
        check(&BatchNorm::<37> { batch, side, relu, offset, spoil }, 2e-5);
    }
    // a mean that dwarfs the spread: only double precision holds the difference
    check(&BatchNorm::<6> { batch: 2, side: 17, relu: false, offset: 3000.0, spoil: false }, 2e-6);
    check(&BatchNorm::<6> { batch: 1, side: 9, relu: true, offset: -3000.0, spoil: false }, 2e-6);
}
