use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

sam2unet::load_cuda_libraries_late!();

#[allow(dead_code)]
fn predict(model: &Sam2UNet<Large>, x: Image<usize, Const<352>, Cpu>) -> Masks<usize, Const<352>, Const<1>, Cpu> {
    model.forward(x).head
}

fn main() {}
