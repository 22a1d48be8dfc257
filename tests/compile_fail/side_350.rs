use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

fn predict(model: &Sam2UNet<Tiny>, x: Image<Const<1>, Const<350>, Cpu>) {
    let _ = model.forward(x);
}

fn main() {}
