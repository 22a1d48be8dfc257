use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

fn predict(model: &Sam2UNet<Tiny>, x: Image<usize, Const<352>, Cpu>) -> Masks<usize, Const<352>, Const<3>, Cpu> {
    model.forward(x).head
}

fn main() {}
