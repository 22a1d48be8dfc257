//! The published network in a program of your own, its shapes checked by the compiler.
//!
//! ```text
//! cargo run --release --example embed
//! ```
//!
//! The weights are random here; a checkpoint gives them with `checkpoint::load`, which is a
//! `WeightSource` just as `Initialiser` is.

use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::{Const, Image, Initialiser, Large, Masks, Precision, Sam2UNet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Cpu::default();
    let model = Sam2UNet::<Large>::for_inference(&device, &mut Initialiser::new(0), Precision::F32)?;

    // Two images at 352: three maps of logits, at 352 too. `Const<350>` would not compile.
    let images: Image<Const<2>, Const<352>, Cpu> = device.zeros();
    let outputs = model.try_forward(images)?;
    let masks: Masks<Const<2>, Const<352>, 1, Cpu> = outputs.head.sigmoid();
    println!("{:?}: mean probability {:.3}", masks.shape().concrete(), masks.clone().mean::<Rank0, _>().array());

    // The same weights at another resolution, the batch size known at run time only.
    let images: Image<usize, Const<448>, Cpu> = device.zeros_like(&(1, Const, Const, Const));
    let masks: Masks<usize, Const<448>, 1, Cpu> = model.try_forward(images)?.head.sigmoid();
    println!("{:?}: mean probability {:.3}", masks.shape().concrete(), masks.clone().mean::<Rank0, _>().array());
    Ok(())
}
