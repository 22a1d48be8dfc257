//! The stem.

use crate::support::case::{Case, Given, How, check, numbers};
use crate::support::golden::{Pico, Synthetic};
use dfdx::prelude::*;
use sam2unet::nn::ops::{self, StemRef};
use sam2unet::nn::{Backend, Sam2UNet};

struct Stem {
    batch: usize,
    side: usize,
}

impl Case for Stem {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let encoder = Sam2UNet::<Pico, D>::from_source(device, &mut Synthetic).unwrap().encoder;
        let values = numbers(self.batch * 3 * self.side * self.side, 1);
        let x = device.tensor_from_vec(values, (self.batch, Const::<3>, self.side, self.side));
        let stem = StemRef {
            weight: &encoder.patch_embed.weight,
            bias: &encoder.patch_embed.bias,
            background: &encoder.pos_embed,
            window: &encoder.pos_embed_window,
        };
        vec![("value".into(), ops::patch_embed(x, stem).unwrap().as_vec())]
    }
}

#[test]
fn stem() {
    for (batch, side) in [(1, 64), (2, 96), (1, 160)] {
        check(&Stem { batch, side }, 2e-5);
    }
}
