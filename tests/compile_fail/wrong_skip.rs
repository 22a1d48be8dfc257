use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

fn apply(up: &Up<Cpu>, skip: Map<usize, Const<88>, Mid, Cpu>, deep: Map<usize, Const<22>, Mid, Cpu>) {
    let _ = up.forward((skip, deep));
}

fn main() {}
