//! Numbers of tensors and gradients, and how far they are from others.

use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorName, ViewTensorRef,
};
use dfdx::prelude::*;
use std::collections::BTreeMap;

/// The numbers of a tensor, row-major.
pub fn numbers<S: Shape, D: Device<f32>, T>(tensor: &Tensor<S, f32, D, T>) -> Vec<f32> {
    tensor.as_vec()
}

/// The numbers of a map `(b, h, h, c)` in the order `(b, c, h, h)`.
pub fn channels_first<S: Shape<Concrete = [usize; 4]>, D: Device<f32>>(map: &Tensor<S, f32, D>) -> Vec<f32> {
    let ([b, h, w, c], numbers) = (map.shape().concrete(), map.as_vec());
    let mut out = Vec::with_capacity(numbers.len());
    for image in 0..b {
        for channel in 0..c {
            let pixels = numbers[image * h * w * c..][..h * w * c].iter();
            out.extend(pixels.skip(channel).step_by(c));
        }
    }
    out
}

/// What dfdx's walk shows of a model: each tensor's name, and its gradient if it is trainable.
pub fn gradients<D: Device<f32>, M: TensorCollection<f32, D>>(
    model: &M,
    gradients: &Gradients<f32, D>,
) -> BTreeMap<String, Vec<f32>> {
    struct Reader<'a, D: Device<f32>>(&'a Gradients<f32, D>, BTreeMap<String, Vec<f32>>);
    impl<D: Device<f32>> TensorVisitor<f32, D> for Reader<'_, D> {
        type Viewer = (ViewTensorRef, ViewTensorName);
        type Err = D::Err;
        type E2 = f32;
        type D2 = D;
        fn visit<S: Shape>(
            &mut self,
            options: TensorOptions<S, f32, D>,
            (tensor, name): (&Tensor<S, f32, D>, String),
        ) -> Result<Option<Tensor<S, f32, D>>, D::Err> {
            if options.do_gradient_update {
                self.1.insert(name, self.0.get(tensor).as_vec());
            }
            Ok(None)
        }
    }
    let mut reader = Reader(gradients, BTreeMap::new());
    M::iter_tensors(&mut RecursiveWalker { m: (model, String::new()), f: &mut reader }).unwrap();
    reader.1
}

pub fn norm(numbers: impl IntoIterator<Item = f64>) -> f64 {
    numbers.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// What is found minus what is expected, number by number.
#[track_caller]
pub fn differences(found: &[f32], expected: &[f64]) -> Vec<f64> {
    assert_eq!(found.len(), expected.len(), "as many numbers as are expected");
    let difference = |(a, b): (&f32, &f64)| {
        let difference = f64::from(*a) - b;
        assert!(difference.is_finite(), "{a} where {b} is expected");
        difference
    };
    found.iter().zip(expected).map(difference).collect()
}

/// The largest difference over the largest expected value.
#[track_caller]
pub fn relative_difference(found: &[f32], expected: &[f64]) -> f64 {
    let largest = |numbers: &[f64]| numbers.iter().fold(0f64, |most, x| most.max(x.abs()));
    largest(&differences(found, expected)) / largest(expected)
}

#[track_caller]
pub fn close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    let difference = relative_difference(found, expected);
    println!("{what}: {difference:.1e} of the largest value");
    assert!(difference <= tolerance, "{what}: {difference:e}");
}
