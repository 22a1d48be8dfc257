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
            /// tape, so every loss uses all three.
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
    use crate::nn::targets::IndexMaps;

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
