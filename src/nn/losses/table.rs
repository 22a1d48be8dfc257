//! The table of training losses: a loss is one file and one line here.

use crate::choice::choice;
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{Classes, Masks, Side};
use crate::nn::targets::Targets;
use dfdx::prelude::*;

/// Declares [`Loss`]: each line has a name and a function with the parameters of [`Loss::of`].
macro_rules! losses {
    ($($(#[$meta:meta])* $Name:ident = $name:literal => $function:path),+ $(,)?) => {
        choice! {
            /// A training loss, by its name in settings.
            #[derive(Default)]
            pub enum Loss: "loss" {
                $($(#[$meta])* $Name = $name),+
            }
        }

        impl Loss {
            /// The loss of the prediction and of the two outputs for deep supervision, in this order, all logits `(B,
            /// K, S, S)`, against masks of labels or index maps of classes. Each output holds its own piece of the
            /// tape, so every loss uses all three. It is a mean over images: the loss of a batch is the sum of its
            /// parts' losses by their share of the images.
            ///
            /// # Panics
            /// When a run-time batch is empty, a run-time side is not square, or outputs and targets differ in shape.
            ///
            /// # Errors
            /// When the device fails.
            pub fn of<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
                self,
                outputs: [Masks<B, S, K, D, T>; 3],
                targets: &Targets<'_, B, S, K, D>,
            ) -> Result<Tensor<(), f32, D, T>, D::Err> {
                match self {
                    $(Self::$Name => $function(outputs, targets)),+
                }
            }
        }
    };
}

losses! {
    /// The paper's structure loss ("Loss function"): each pixel's cross-entropy counts by its weight.
    #[default]
    Paper = "paper" => super::structure::paper,
    /// The published training script's, where the cross-entropy is a plain mean over all pixels.
    PublishedScript = "published-script" => super::structure::published_script,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::targets::{ClassWeights, IndexMaps, Known};

    /// Ignored pixels, more of one image than of another, and weights of classes included.
    #[test]
    fn the_loss_of_a_batch_is_the_sum_of_its_parts_by_their_share_of_the_images() {
        const IMAGES: usize = 3;
        const PIXELS: usize = 64;
        let device = Cpu::default();
        let all = |each: usize, of: &dyn Fn(usize) -> f32| (0..IMAGES * each).map(of).collect::<Vec<f32>>();
        let logits = all(2 * PIXELS, &|i| ((i * 37) % 101) as f32 / 20.0 - 2.5);
        let masks = all(2 * PIXELS, &|i| ((i * 7) % 8) as f32 / 7.0);
        let is_known = |image: usize, pixel: usize| (pixel * 31) % 17 > 2 + 5 * image;
        let known = all(PIXELS, &|i| f32::from(u8::from(is_known(i / PIXELS, i % PIXELS))));
        let index: Vec<u8> =
            known.iter().enumerate().map(|(i, k)| if *k == 0.0 { 255 } else { (i % 3 / 2) as u8 }).collect();
        let weights = ClassWeights::new(&device, &[0.25, 2.0], Const::<2>).unwrap();
        let of = |loss: Loss, is_index: bool, images: std::ops::Range<usize>| {
            let part = |numbers: &[f32], each: usize| numbers[images.start * each..images.end * each].to_vec();
            let (count, side) = (images.len(), 8usize);
            let planes =
                |numbers: &[f32]| device.tensor_from_vec(part(numbers, 2 * PIXELS), (count, Const::<2>, side, side));
            let outputs = [0, 1, 2].map(|_| planes(&logits));
            let value = if is_index {
                let bytes = &index[images.start * PIXELS..images.end * PIXELS];
                let index = IndexMaps::new(&device, bytes, (count, Const::<2>, side)).unwrap();
                loss.of(outputs, &Targets::from(&index).weighted(&weights))
            } else {
                let known = device.tensor_from_vec(part(&known, PIXELS), (count, Const::<1>, side, side));
                loss.of(outputs, &Targets::from((&planes(&masks), &Known::OfAll(known))).weighted(&weights))
            };
            f64::from(value.unwrap().array())
        };
        for (&loss, is_index) in Loss::ALL.iter().flat_map(|loss| [(loss, false), (loss, true)]) {
            let parts = of(loss, is_index, 0..1) / 3.0 + of(loss, is_index, 1..3) * 2.0 / 3.0;
            let whole = of(loss, is_index, 0..3);
            assert!((parts / whole - 1.0).abs() < 1e-6, "{loss}, index maps {is_index}: {parts}, wanted {whole}");
        }
    }

    #[test]
    fn every_loss_is_finite_and_reaches_all_three_outputs() {
        let device = Cpu::default();
        let shape = (2, Const::<2>, 8, 8);
        let logits = |output: usize| -> Masks<usize, usize, Const<2>, Cpu> {
            let values = (0..256).map(|i| ((i * 37 + output * 11) % 101) as f32 / 20.0 - 2.5);
            device.tensor_from_vec(values.collect(), shape)
        };
        let mask = device.tensor_from_vec((0..256).map(|i| (i % 8) as f32 / 7.0).collect(), shape);
        let classes: Vec<u8> = (0..128).map(|i| if i % 8 < 4 { 0 } else { 1 }).collect();
        let index = IndexMaps::new(&device, &classes, (2, Const::<2>, 8)).unwrap();
        for (loss, targets) in
            Loss::ALL.iter().flat_map(|loss| [(loss, Targets::from(&mask)), (loss, Targets::from(&index))])
        {
            let outputs = [0, 1, 2].map(logits);
            let value = loss.of(outputs.each_ref().map(Tensor::leaky_trace), &targets).unwrap();
            assert!(value.array().is_finite(), "{loss}: {}", value.array());
            let gradients = value.backward();
            for (at, output) in outputs.iter().enumerate() {
                let gradient = gradients.get(output).as_vec();
                assert!(gradient.iter().all(|g| g.is_finite()), "{loss}, output {at}: {gradient:?}");
                assert!(gradient.iter().any(|g| *g != 0.0), "{loss}: no gradient reaches output {at}");
            }
        }
    }
}
