use dfdx::{nn::BuildModule, prelude::*};
use sam2unet::nn::*;

fn main() {
    let _ = <Sam2UNet<Tiny> as BuildModule<Cpu, f32>>::build(&Cpu::default());
}
