//! Classes known at run time.

use crate::support::golden::{Pico, batch};
use crate::support::numbers::gradients;
use crate::support::wrong::panics;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use sam2unet::nn::weights::Value;
use sam2unet::nn::{BuildError, BuildOptions, Classes, Image, Initialiser, Loss, Masks, Sam2UNet};

type Three = Sam2UNet<Pico, Cpu, Const<3>>;
type Open = Sam2UNet<Pico, Cpu, usize>;

fn of_classes<K: Classes>(classes: usize) -> Result<Sam2UNet<Pico, Cpu, K>, BuildError> {
    Sam2UNet::with_classes(&Cpu::default(), &mut Initialiser::new(3), classes, BuildOptions::default())
}

#[test]
fn a_number_of_classes_known_at_run_time_gives_the_same_model() {
    fn stored<K: Classes>(model: &Sam2UNet<Pico, Cpu, K>) -> Vec<(String, Vec<usize>, Value)> {
        let mut list = Vec::new();
        model.each_value(&mut |spec, value| list.push((spec.name, spec.shape, value)));
        list
    }
    /// Logits, loss and gradients by name, as bits.
    #[allow(clippy::type_complexity)]
    fn trained<K: Classes>(mut model: Sam2UNet<Pico, Cpu, K>) -> (Vec<Vec<u32>>, Vec<(String, Vec<u32>)>) {
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let device = Cpu::default();
        let (numbers, mask) = batch(64, 2);
        let x = || -> Image<usize, usize, Cpu> { device.tensor_from_vec(numbers.clone(), (2, Const, 64, 64)) };
        let classes = K::of(3).unwrap();
        let truth = mask.chunks(64 * 64).flat_map(|m| [m, m, m].concat()).collect();
        let truth: Masks<usize, usize, K, Cpu> = device.tensor_from_vec(truth, (2, classes, 64, 64));
        let y = model.forward(x());
        let mut given: Vec<Vec<f32>> = [&y.head, &y.side1, &y.side2].map(|y| y.as_vec()).into();
        given.push(model.clone().into_predictor().predict(x()).unwrap().as_vec());
        let loss = model.forward_mut(x().leaky_trace()).loss(&truth, Loss::Paper).unwrap();
        given.push(vec![loss.array()]);
        let found = gradients(&model, &loss.backward());
        (given.into_iter().map(bits).collect(), found.into_iter().map(|(name, g)| (name, bits(g))).collect())
    }
    let (three, any) = (of_classes::<Const<3>>(3).unwrap(), of_classes::<usize>(3).unwrap());
    assert_eq!((three.classes(), any.classes()), (3, 3));
    assert_eq!(any.head.weight.tensor().shape().concrete(), [3, 64, 1, 1]);
    assert_eq!(Open::specs_for(3), Three::specs());
    assert_eq!(stored(&three), stored(&any));
    let ((values, grads), (any_values, any_grads)) = (trained(three), trained(any));
    assert!(values == any_values, "logits or loss differ");
    assert!(!grads.is_empty() && grads.iter().map(|(name, _)| name).eq(any_grads.iter().map(|(name, _)| name)));
    for ((name, a), (_, b)) in grads.iter().zip(&any_grads) {
        assert!(a == b && a.iter().any(|g| *g != 0), "{name}");
    }
}

#[test]
fn classes_that_the_type_does_not_allow_are_refused() {
    let said = |error: BuildError| {
        assert!(matches!(error, BuildError::Classes { .. }), "{error:?}");
        error.to_string()
    };
    assert_eq!(
        said(of_classes::<usize>(0).unwrap_err()),
        "a model for 0 classes was asked for; its type allows any but 0"
    );
    assert_eq!(said(of_classes::<Const<3>>(2).unwrap_err()), "a model for 2 classes was asked for; its type allows 3");
    assert_eq!(said(of_classes::<Const<3>>(0).unwrap_err()), "a model for 0 classes was asked for; its type allows 3");
    // without a number there is one class
    let one: Open = Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(3)).unwrap();
    assert_eq!(one.classes(), 1);
    assert_eq!(panics(|| Open::specs_for(0)), "a model must have a class");
}
