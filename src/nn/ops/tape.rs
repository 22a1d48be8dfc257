//! How an operation is recorded on dfdx's tape. Its typed shell, whose shapes the compiler checks, erases the shapes before the
//! work and restores them for the result, so that the work is compiled once for each device and tape.

use crate::nn::backend::bound::{Backend, BufferOf, KernelError, SliceMutOf, StorageOf};
use crate::nn::shape::{Map, check_map};
use dfdx::prelude::*;

/// A tensor with a run-time shape instead of a typed one: same id, same data, same tape.
pub(super) type Erased<const N: usize, D, T = NoneTape> = Tensor<[usize; N], f32, D, T>;

/// Erases the shape's type.
#[inline(always)]
pub(super) fn erase<const N: usize, S: Shape<Concrete = [usize; N]>, D: Backend, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
) -> Erased<N, D, T>
where
    [usize; N]: Shape<Concrete = [usize; N]>,
{
    x.try_realize().unwrap_or_else(|_| unreachable!("any shape can be forgotten"))
}

/// Erases a map's shape after checking its batch and sides, as the compiler does not check sizes of type `usize`.
///
/// # Panics
/// When the batch is empty, or the map not square.
pub(super) fn erase_map<B: Dim, H: Dim, C: Dim, D: Backend, T: Tape<f32, D>>(x: Map<B, H, C, D, T>) -> Erased<4, D, T> {
    let [batch, height, width, _] = x.shape().concrete();
    check_map(batch, height, width).unwrap_or_else(|e| panic!("{e}"));
    erase(x)
}

/// The reverse of [`erase`]: gives a result the typed shape `S`, which it must have.
#[inline(always)]
pub(super) fn retype<const N: usize, S: Shape<Concrete = [usize; N]>, D: Backend, T: Tape<f32, D>>(
    x: Erased<N, D, T>,
) -> Tensor<S, f32, D, T>
where
    [usize; N]: Shape<Concrete = [usize; N]>,
{
    x.try_realize().unwrap_or_else(|x| unreachable!("an operation made the shape {:?}", x.shape()))
}

/// Where a tensor's gradient is found among all gradients. (dfdx's `GhostTensor` and `Tensorlike` cannot be named from
/// outside; a closure around a ghost can.)
pub(super) struct GradientOf<D: Backend>(
    #[allow(clippy::type_complexity)]
    Box<dyn for<'g> Fn(&'g mut Gradients<f32, D>) -> Result<&'g mut StorageOf<D>, D::Err>>,
);

impl<D: Backend> GradientOf<D> {
    pub(super) fn tensor<S: Shape>(t: &Tensor<S, f32, D>) -> Self {
        let ghost = t.ghost();
        Self(Box::new(move |gradients| gradients.get_or_alloc_mut(&ghost)))
    }
}

/// Records an operation's backward pass on the tape: `backward(device, kernels, gy, [gx...])` must *add* to the `gx`.
///
/// Safe for any number of inputs: each gradient is moved out of dfdx's map, worked on, and put back.
pub(super) fn record_backward<D: Backend, T: Tape<f32, D>, const N: usize>(
    tape: &mut T,
    device: &D,
    inputs: [GradientOf<D>; N],
    output: GradientOf<D>,
    backward: impl FnOnce(&D, &D::Kernels, BufferOf<D>, [SliceMutOf<'_, D>; N]) -> Result<(), KernelError<D>> + 'static,
) {
    let device = device.clone();
    tape.add_backward_op(move |gradients| {
        let gy = device.take(output.0(gradients)?)?;
        let mut taken = Vec::with_capacity(N);
        for input in &inputs {
            let empty = <D as Storage<f32>>::try_alloc_len(&device, 0)?;
            let gradient = std::mem::replace(input.0(gradients)?, empty);
            assert!(<D as Storage<f32>>::len(&device, &gradient) > 0, "one tensor was given twice to one operation");
            taken.push(gradient);
        }
        let Ok(mut taken) = <[StorageOf<D>; N]>::try_from(taken) else { unreachable!("as many as inputs") };
        let result = device.run(|k| backward(&device, k, gy, taken.each_mut().map(D::slice_mut)));
        for (input, gradient) in inputs.iter().zip(taken) {
            *input.0(gradients)? = gradient;
        }
        result
    });
}
