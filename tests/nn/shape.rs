//! Shapes as types, and wrong shapes of sizes known at run time: a panic with the numbers in `Module::forward`.

use crate::support::golden::Pico;
use crate::support::pico::{self, S64, S96, random};
use crate::support::wrong::{image, map, model, panics, wrong_images, wrong_maps};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use sam2unet::nn::{Features, Image, Initialiser, Loss, Masks, Sam2UNet};

#[test]
fn shapes_are_the_types() {
    let model = random::<Pico, Const<1>>(1);
    let y: Masks<Const<2>, S64, Const<1>, Cpu> = model.forward(pico::image(Const::<2>)).head;
    assert_eq!(y.shape().concrete(), [2, 1, 64, 64]);
    // the same weights at another side, the batch size known at run time
    let y = model.forward(pico::image::<_, S96>(3usize));
    assert_eq!(y.side1.shape().concrete(), [3, 1, 96, 96]);
    let (x1, x2, x3, x4): Features<usize, S96, Pico, Cpu> = model.encoder.forward(pico::image::<_, S96>(1usize));
    assert_eq!(x1.shape().concrete(), [1, 24, 24, 16]);
    assert_eq!(x2.shape().concrete(), [1, 12, 12, 32]);
    assert_eq!(x3.shape().concrete(), [1, 6, 6, 64]);
    assert_eq!(x4.shape().concrete(), [1, 3, 3, 128]);
    let y = random::<Pico, Const<4>>(1).forward(pico::image::<_, S64>(1usize));
    assert_eq!(y.side2.shape().concrete(), [1, 4, 64, 64]);
}

#[test]
fn forward_panics_with_the_numbers() {
    let mut model = model();
    for ([batch, height, width], wanted) in wrong_images() {
        let image = || image(batch, height, width);
        assert_eq!(panics(|| model.forward(image())), wanted);
        assert_eq!(panics(|| model.try_predict(image())), wanted);
        assert_eq!(panics(|| model.encoder.forward(image())), wanted);
        assert_eq!(panics(|| model.forward_mut(image().leaky_trace())), wanted);
    }
    for ([batch, height, width], wanted) in wrong_maps() {
        assert_eq!(panics(|| model.rfb1.forward(map(batch, height, width))), wanted);
        assert_eq!(panics(|| model.rfb1.forward_mut(map(batch, height, width).leaky_trace())), wanted);
        assert_eq!(panics(|| model.up1.forward((map(batch, height, width), map(1, 2, 2)))), wanted);
        assert_eq!(panics(|| model.up1.forward((map(1, 4, 4), map(batch, height, width)))), wanted);
    }
    let wanted = "a decoder step joins a skip [1, 4, 4, 64] and a deep map of half its side, not [1, 3, 3, 64]";
    assert_eq!(panics(|| model.up1.forward((map(1, 4, 4), map(1, 3, 3)))), wanted);
    assert_eq!(panics(|| model.up1.forward_mut((map(1, 4, 4).leaky_trace(), map(1, 3, 3).leaky_trace()))), wanted);
    // one value a channel has no variance
    let said = panics(|| model.rfb1.forward_mut(map(1, 1, 1).leaky_trace()));
    assert!(said.contains("more than one value a channel") && said.contains("1 x 1 x 1"), "{said}");
}

#[test]
fn a_loss_refuses_a_mask_of_other_images() {
    let model = || -> Sam2UNet<Pico> { Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(0)).unwrap() };
    let images = |batch: usize, side: usize| -> Image<usize, usize, Cpu> {
        Cpu::default().ones_like(&(batch, Const, side, side))
    };
    let masks = |batch: usize, side: usize| -> Masks<usize, usize, Const<1>, Cpu> {
        Cpu::default().ones_like(&(batch, Const, side, side))
    };
    let loss = |batch, side| {
        let outputs = model().forward_mut(images(2, 64).leaky_trace());
        drop(outputs.loss(&masks(batch, side), Loss::Paper));
    };
    assert!(panics(|| loss(1, 64)).contains("logits and mask differ in shape"));
    assert!(panics(|| loss(2, 96)).contains("logits and mask differ in shape"));
    assert!(panics(|| drop(model().forward_mut(images(0, 64).leaky_trace()))).contains("an empty batch"));
}
