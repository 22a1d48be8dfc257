//! Prediction in a program of your own, in five lines; the compiler checks the shapes.
//!
//! ```text
//! cargo run --release --example predict
//! ```
//!
//! The weights are random here. To use trained ones, give a file opened with `checkpoint::load` in place of the
//! `Initialiser`: both are a `WeightSource`.

use dfdx::prelude::*;
use sam2unet::nn::{Const, Image, Initialiser, Masks, Sam2UNet, Tiny};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Cpu::default();
    let predictor = Sam2UNet::<Tiny>::from_source(&device, &mut Initialiser::new(0))?.into_predictor();
    let images: Image<Const<2>, Const<352>, Cpu> = device.zeros(); // `Const<350>` would not compile
    let masks: Masks<Const<2>, Const<352>, Const<1>, Cpu> = predictor.predict(images)?.sigmoid();
    println!("{:?}: mean probability {:.3}", masks.shape().concrete(), masks.mean::<Rank0, _>().array());

    // The same weights at another resolution; batch and side are known at run time only.
    let images: Image<usize, usize, Cpu> = device.zeros_like(&(1, Const, 448, 448));
    println!("{:?}", predictor.predict(images)?.shape().concrete());

    // What the compiler cannot check is an error.
    let images: Image<usize, usize, Cpu> = device.zeros_like(&(1, Const, 64, 128));
    println!("{}", predictor.predict(images).err().map_or("no error".into(), |e| e.to_string()));
    Ok(())
}
