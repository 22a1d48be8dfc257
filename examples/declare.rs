//! A variant of your own, trained for a few steps, and saved values by name.
//!
//! ```text
//! cargo run --release --example declare
//! ```

use dfdx::nn::{ModuleMut, ZeroGrads};
use dfdx::optim::{Adam, Optimizer};
use dfdx::prelude::*;
use sam2unet::nn::{Const, Image, Initialiser, Loss, Masks, Sam2UNet, gflop, parameters};

sam2unet::variant! {
    /// A quarter of Tiny. Sizes that contradict each other would not compile.
    Mini = "mini", dim 24, heads 1, blocks [1 2 3 1], global [4], background 7, windows [8 4 14 7]
}

type Side = Const<96>;
type Classes = Const<2>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = parameters::<Mini>(2);
    println!("{} parameters, {} of them trained", count.total(), count.trainable);
    println!("{:.2} GFLOP for an image", gflop::<Mini>(96).total());

    let device = Cpu::default();
    let mut model = Sam2UNet::<Mini, Cpu, Classes>::from_source(&device, &mut Initialiser::new(0))?;

    // The left half is bright and of class 0, the rest of class 1.
    let left = |i: usize| i % 96 < 48;
    let pixels = (0..3 * 96 * 96).map(|i| if left(i) { 1.0 } else { -1.0 });
    let image: Image<Const<1>, Side, Cpu> = device.tensor_from_vec(pixels.collect(), Default::default());
    let truth = (0..2 * 96 * 96).map(|i| f32::from(u8::from(left(i) == (i < 96 * 96))));
    let truth: Masks<Const<1>, Side, Classes, Cpu> = device.tensor_from_vec(truth.collect(), Default::default());

    let mut adam = Adam::new(&model, AdamConfig::default());
    let mut gradients = model.alloc_grads();
    for step in 0..8 {
        let outputs = model.try_forward_mut(image.trace(gradients))?;
        let loss = outputs.loss(&truth, Loss::Paper)?;
        println!("step {step}: loss {:.4}", loss.array());
        gradients = loss.try_backward()?;
        adam.update(&mut model, &gradients).map_err(|e| format!("{e:?}"))?;
        model.zero_grads(&mut gradients);
    }

    let mut stored = 0;
    model.each_value(&mut |spec, _| stored += spec.len());
    println!("{stored} numbers to store, under the published names");
    Ok(())
}
