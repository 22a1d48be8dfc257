use dfdx::{nn::ModuleMut, prelude::*};
use sam2unet::nn::*;

fn train(model: &mut Sam2UNet<Tiny>, x: Image<Const<1>, Const<352>, Cpu>) {
    let _ = model.forward_mut(x);
}

fn main() {}
