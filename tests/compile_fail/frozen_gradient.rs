use dfdx::prelude::*;
use sam2unet::nn::*;

fn gradient(model: &Sam2UNet<Large>, gradients: &Gradients<f32, Cpu>) {
    let _ = gradients.get(&model.encoder.patch_embed.weight);
}

fn main() {}
