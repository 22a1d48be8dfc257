//! Images and maps of wrong shapes, and what is said of them.

use super::golden::{Pico, Synthetic};
use dfdx::prelude::*;
use sam2unet::nn::{Image, Map, Sam2UNet};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub const EMPTY: &str = "an empty batch: there must be an image";

pub fn model() -> Sam2UNet<Pico> {
    Sam2UNet::from_source(&Cpu::default(), &mut Synthetic).unwrap()
}

pub fn zeros<S: Shape>(shape: S) -> Tensor<S, f32, Cpu> {
    Cpu::default().zeros_like(&shape)
}

pub fn image(batch: usize, height: usize, width: usize) -> Image<usize, usize, Cpu> {
    zeros((batch, Const, height, width))
}

pub fn map<C: ConstDim>(batch: usize, height: usize, width: usize) -> Map<usize, usize, C, Cpu> {
    zeros((batch, height, width, C::default()))
}

/// What a panic of `work` says.
pub fn panics<R>(work: impl FnOnce() -> R) -> String {
    let words = |payload: Box<dyn Any + Send>| match payload.downcast::<String>() {
        Ok(words) => *words,
        Err(payload) => payload.downcast_ref::<&str>().copied().unwrap_or("no words").to_string(),
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(_) => panic!("nothing was refused"),
        Err(payload) => words(payload),
    }
}

/// The four wrong images, and what is said of them.
pub fn wrong_images() -> [([usize; 3], String); 4] {
    let side = |n| format!("an image's side must be a multiple of 32 from 64 on, not {n}");
    [
        ([1, 64, 128], "height and width must be equal, and are 64 x 128".to_string()),
        ([1, 63, 63], side(63)),
        ([1, 32, 32], side(32)),
        ([0, 64, 64], EMPTY.to_string()),
    ]
}

/// A map that is not square, and an empty batch of maps.
pub fn wrong_maps() -> [([usize; 3], String); 2] {
    [([1, 4, 6], "height and width must be equal, and are 4 x 6".to_string()), ([0, 4, 4], EMPTY.to_string())]
}
