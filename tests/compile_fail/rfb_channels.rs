use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

fn apply(rfb: &Rfb<Const<288>, Cpu>, x: Map<Const<1>, Const<88>, Const<144>, Cpu>) {
    let _ = rfb.forward(x);
}

fn main() {}
