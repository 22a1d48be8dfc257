//! The operations: shapes, tape wiring and documentation. Each is a typed shell, which the compiler
//! checks, around a shape-erased function, which is compiled once per device and tape; each declares
//! the kernels that it needs of a device. They know no module; the kernels know no tape.

pub mod adamw;
pub mod adapted_block;
pub mod add_relu;
pub mod batch_norm;
pub mod concat;
pub mod conv2d;
pub mod conv_batch_norm;

pub mod flow;
pub mod patch_embed;
pub mod resize;
pub mod structure_loss;
pub mod up2_concat;

pub(crate) use crate::kernels::cpu::{peak, profile};
#[cfg(feature = "cuda")]
pub use crate::kernels::cuda::{CudaOpenError, open_cuda};
pub use adamw::{AdamWKernel, AdamWStep};
pub use adapted_block::{AdaptedBlockKernel, AdapterRef, BlockWeights, Geometry, Keep, adapted_block};
pub use add_relu::{AddReluKernel, add_relu};
pub use batch_norm::{BatchNormKernel, batch_norm_train};
pub use concat::{ConcatKernel, concat4};
pub use conv_batch_norm::{NormRef, conv_batch_norm_train};
pub use conv2d::{Conv2dKernel, NormedConv, conv2d};
pub use flow::Flow;
pub use patch_embed::{PatchEmbedKernel, patch_embed};
pub use resize::{ResizeKernel, resize};
pub use structure_loss::{LossFlavour, StructureLossKernel, loss_weights, structure_loss};
pub use up2_concat::{Up2ConcatKernel, up2_concat};

use super::backend::{Backend, Buffer};
use dfdx::prelude::*;

/// A tensor whose shape the compiler has forgotten: same id, same data, same tape.
type Erased<const N: usize, D, T = NoneTape> = Tensor<[usize; N], f32, D, T>;

/// Forgets the shape.
#[inline(always)]
fn erase<const N: usize, S: Shape<Concrete = [usize; N]>, D: Backend, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
) -> Erased<N, D, T>
where
    [usize; N]: Shape<Concrete = [usize; N]>,
{
    x.try_realize().unwrap_or_else(|_| unreachable!("any shape can be forgotten"))
}

/// The way back. `S` is what the shell promises, and what the erased function computed.
#[inline(always)]
fn retype<const N: usize, S: Shape<Concrete = [usize; N]>, D: Backend, T: Tape<f32, D>>(
    x: Erased<N, D, T>,
) -> Tensor<S, f32, D, T>
where
    [usize; N]: Shape<Concrete = [usize; N]>,
{
    x.try_realize().unwrap_or_else(|x| unreachable!("an operation made the shape {:?}", x.shape()))
}

/// Where a tensor's gradient lives. dfdx's `GhostTensor` and `Tensorlike` cannot be named from
/// outside; a closure around a ghost can.
struct Slot<D: Backend>(
    #[allow(clippy::type_complexity)]
    Box<dyn for<'g> Fn(&'g mut Gradients<f32, D>) -> Result<&'g mut Buffer<D>, D::Err>>,
);

impl<D: Backend> Slot<D> {
    fn of<S: Shape>(t: &Tensor<S, f32, D>) -> Self {
        let ghost = t.ghost();
        Self(Box::new(move |gradients| gradients.get_or_alloc_mut(&ghost)))
    }
}

/// Puts one operation on the tape: `backward(device, gy, [gx...])` must *add* to the `gx`.
///
/// Safe for any number of inputs: each gradient is moved out of dfdx's map, worked on, and put back.
fn record<D: Backend, T: Tape<f32, D>, const N: usize>(
    tape: &mut T,
    device: &D,
    inputs: [Slot<D>; N],
    output: Slot<D>,
    backward: impl FnOnce(&D, D::View, [D::Out<'_>; N]) -> Result<(), D::Err> + 'static,
) {
    let device = device.clone();
    tape.add_backward_op(move |gradients| {
        let gy = device.take(output.0(gradients)?)?;
        let mut taken = Vec::with_capacity(N);
        for slot in &inputs {
            let empty = <D as Storage<f32>>::try_alloc_len(&device, 0)?;
            let gradient = std::mem::replace(slot.0(gradients)?, empty);
            assert!(<D as Storage<f32>>::len(&device, &gradient) > 0, "one tensor was given twice to one operation");
            taken.push(gradient);
        }
        let Ok(mut taken) = <[Buffer<D>; N]>::try_from(taken) else { unreachable!("as many as slots") };
        let result = backward(&device, gy, taken.each_mut().map(D::out));
        for (slot, gradient) in inputs.iter().zip(taken) {
            *slot.0(gradients)? = gradient;
        }
        result
    });
}
