//! The loss of one output whose classes exclude each other: weighted cross-entropy plus weighted IoU, as the structure
//! loss has them for one mask (paper, "Loss function"), of a softmax over the classes. The formulas are in
//! [`kernels::exclusive_loss`](crate::kernels::exclusive_loss).

use super::tape::{Erased, GradientOf, erase, record_backward, retype};
use crate::kernels::exclusive_loss::ExclusiveLossKernel;
use crate::kernels::extent::Extent;
use crate::kernels::structure_loss::CrossEntropy;
use crate::nn::backend::bound::Backend;
use crate::nn::shape::{Classes, Masks, PixelMaps, Side, check_map};
use crate::nn::targets::{ClassWeights, IndexMaps};
use dfdx::prelude::*;

/// Each pixel's weight, off the tape: `1 + 5 x` the share of other classes among the labelled pixels of the 31x31
/// around it that lie inside the image, and 0 where it is ignored: `(B, S, S)`.
///
/// # Errors
/// When the device fails.
pub fn exclusive_weights<B: Dim, S: Side, K: Classes, D: Backend>(
    index: &IndexMaps<B, S, K, D>,
) -> Result<PixelMaps<B, S, D>, D::Err> {
    let (classes, index) = (index.classes().size(), erase(index.tensor().clone()).try_contiguous()?);
    let (device, plane) = (index.device().clone(), plane_of(*index.shape()));
    let y = device.build(*index.shape(), |k, y| k.exclusive_weights(plane, classes, &device.view(&index), y))?;
    Ok(retype(y))
}

/// The loss of one output's logits `(B, K, S, S)` against index maps, averaged over images. `weights` are those of
/// [`exclusive_weights`]. With [`CrossEntropy::Plain`] pixels count in the cross-entropy by their class's weight alone.
///
/// # Panics
/// When logits, index maps and weights of run-time sizes do not go with each other.
///
/// # Errors
/// When the device fails.
pub fn exclusive_loss<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>>(
    logits: Masks<B, S, K, D, T>,
    index: &IndexMaps<B, S, K, D>,
    weights: &PixelMaps<B, S, D>,
    class_weights: Option<&ClassWeights<K, D>>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let [batch, classes, height, width] = logits.shape().concrete();
    assert_eq!(classes, index.classes().size(), "logits and index maps differ in the number of classes");
    for other in [index.tensor(), weights] {
        let wanted = [batch, height, width];
        assert_eq!(
            other.shape().concrete(),
            wanted,
            "index maps and the loss's weights are of the logits' batch and side"
        );
    }
    let class_weights = class_weights.map(|weights| erase(weights.tensor().clone()));
    if let Some(weights) = &class_weights {
        assert_eq!(weights.shape()[0], classes, "there is a weight for each class");
    }
    let [index, weights] = [index.tensor(), weights].map(|numbers| erase(numbers.clone()));
    erased(erase(logits), [index, weights], class_weights, cross_entropy)
}

/// Height and width of planes `(batch, height, width)`.
fn plane_of([batch, height, width]: [usize; 3]) -> Extent {
    check_map(batch, height, width).unwrap_or_else(|e| panic!("{e}"));
    Extent::new(height, width)
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    [index, weights]: [Erased<3, D>; 2],
    class_weights: Option<Erased<1, D>>,
    cross_entropy: CrossEntropy,
) -> Result<Tensor<(), f32, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let (index, weights) = (index.try_contiguous()?, weights.try_contiguous()?);
    let (device, plane) = (x.device().clone(), plane_of(*index.shape()));
    let y = device.build((), |k, y| {
        let (index, weights) = (device.view(&index), device.view(&weights));
        let class_weights = class_weights.as_ref().map(|weights| device.view(weights));
        k.exclusive_loss(plane, cross_entropy, &device.view(&x), &index, &weights, class_weights.as_ref(), y)
    })?;
    if T::OWNS_TAPE {
        let inputs = [GradientOf::tensor(&x)];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |d, k, gy, [gx]| {
            let (x, index, weights) = (d.view(&x), d.view(&index), d.view(&weights));
            let class_weights = class_weights.as_ref().map(|weights| d.view(weights));
            k.exclusive_loss_backward(plane, cross_entropy, &x, &index, &weights, class_weights.as_ref(), &gy, gx)
        });
    }
    Ok(y.put_tape(tape))
}
