//! The encoder with its adapters under a layer of dfdx's own, trained by dfdx's own optimiser:
//! a classifier of whole images.
//!
//! ```text
//! cargo run --release --example compose
//! ```

use dfdx::nn::{BuildModule, Module, ModuleMut, NumParams, ZeroGrads, modules::Linear};
use dfdx::optim::{Adam, Optimizer};
use dfdx::prelude::*;
use sam2unet::nn::{Builder, Const, Features, Hiera, Image, Initialiser, Map, Path, Weights};

sam2unet::variant! {
    /// A quarter of Tiny.
    Mini = "mini", dim 24, heads 1, blocks [1 2 3 1], global [4], background 7, windows [8 4 14 7]
}

type Batch = Const<4>;
type Side = Const<64>;
type Tape = OwnedTape<f32, Cpu>;

/// The coarsest map with the whole tape: each of the four maps holds the piece of its own stage.
fn coarsest(maps: Features<Batch, Side, Mini, Cpu, Tape>) -> Map<Batch, Const<2>, Const<192>, Cpu, Tape> {
    let (x1, x2, x3, x4) = maps;
    let ((_, t1), (_, t2), (_, t3)) = (x1.split_tape(), x2.split_tape(), x3.split_tape());
    let (x4, t4) = x4.split_tape();
    x4.put_tape(t4.merge(t3).merge(t2).merge(t1))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Cpu::default();
    let mut source = Initialiser::new(0);
    let path = Path::root().join("encoder");
    let encoder = Hiera::<Mini, Cpu>::build(&mut Builder::new(&device, &mut source), &path)?;
    let classify: Linear<192, 2, f32, Cpu> = BuildModule::build(&device);

    // A tuple of modules is a dfdx module; the frozen trunk is no part of what it trains.
    let mut model = (encoder, classify);
    println!("{} trainable parameters", model.num_trainable_params());

    // Two images with horizontal stripes, two with vertical ones.
    let pixel = |i: usize| {
        let (image, row, column) = (i / (3 * 64 * 64), i / 64 % 64, i % 64);
        let along = if image < 2 { row } else { column };
        if along / 8 % 2 == image % 2 { 1.0 } else { -1.0 }
    };
    let images = (0..4 * 3 * 64 * 64).map(pixel).collect();
    let images: Image<Batch, Side, Cpu> = device.tensor_from_vec(images, Default::default());
    let classes: Tensor<(Batch, Const<2>), f32, Cpu> = device.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]);

    let mut adam = Adam::new(&model, AdamConfig { lr: 3e-3, ..Default::default() });
    let mut gradients = model.alloc_grads();
    for step in 0..20 {
        let map = coarsest(model.0.try_forward_mut(images.trace(gradients))?);
        let logits = model.1.try_forward(map.try_mean::<(Batch, Const<192>), _>()?)?;
        let loss = cross_entropy_with_logits_loss(logits, classes.clone());
        if step % 5 == 4 {
            println!("step {step}: loss {:.4}", loss.array());
        }
        gradients = loss.try_backward()?;
        adam.update(&mut model, &gradients).map_err(|e| format!("{e:?}"))?;
        model.zero_grads(&mut gradients);
    }
    Ok(())
}
