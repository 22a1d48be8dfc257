use dfdx::{nn::{Module, ZeroGrads}, prelude::*};
use sam2unet::nn::*;

fn predict(model: &Sam2UNet<Tiny>, x: Image<Const<1>, Const<352>, Cpu>) {
    let _ = model.forward(x.traced(model.alloc_grads()));
}

fn main() {}
