//! An adapter and the frozen Hiera block that follows it, as one operation (paper, "Adapter"; Hiera,
//! arXiv 2306.00989; its SAM2 form, arXiv 2408.00714).
//!
//! ```text
//! z = x + gelu(up(gelu(down(x))))             adapter, trainable
//! a = skip(z) + proj(attention(norm1(z)))     skip: z, or maxpool(proj(norm1(z))) in a pooling block
//! y = a + fc2(gelu(fc1(norm2(a))))
//! ```

use super::tape::{Erased, GradientOf, erase, erase_map, record_backward, retype};
use crate::kernels::adapted_block::{AdaptedBlockKernel, AttentionConfig, BlockBuffers, BlockSize};
use crate::kernels::extent::Extent;
use crate::kernels::memory_use::MemoryUse;
use crate::nn::backend::bound::{Backend, FrozenOf};
use crate::nn::shape::{EvenSide, Map, Times};
use crate::nn::weights::roles::Frozen;
use dfdx::prelude::*;

/// A frozen linear layer from `I` to `O` channels: weight `(O, I)` and bias `(O,)`.
#[derive(Debug)]
pub struct LinearWeights<'a, I: ConstDim, O: ConstDim, D: Backend>(
    /// `(O, I)`.
    pub &'a Frozen<(O, I), D>,
    /// `(O,)`.
    pub &'a Frozen<(O,), D>,
);

/// A frozen layer norm over `C` channels: gamma and beta.
#[derive(Debug)]
pub struct NormWeights<'a, C: ConstDim, D: Backend>(
    /// Gamma, `(C,)`.
    pub &'a Frozen<(C,), D>,
    /// Beta, `(C,)`.
    pub &'a Frozen<(C,), D>,
);

/// The frozen weights of a block from `C` to `CO` channels. The device's storage is shared with the module that lends it, never
/// copied.
#[derive(Debug)]
pub struct BlockWeights<'a, C: ConstDim, CO: ConstDim, D: Backend> {
    /// Before attention.
    pub norm1: NormWeights<'a, C, D>,
    /// Queries, keys and values side by side.
    pub qkv: LinearWeights<'a, C, Times<3, CO>, D>,
    /// After attention.
    pub proj: LinearWeights<'a, CO, CO, D>,
    /// Before the MLP.
    pub norm2: NormWeights<'a, CO, D>,
    /// The MLP's first layer.
    pub fc1: LinearWeights<'a, CO, Times<4, CO>, D>,
    /// The MLP's second layer.
    pub fc2: LinearWeights<'a, Times<4, CO>, CO, D>,
}

/// A trainable linear layer's weight `(O, I)` and bias `(O,)`.
pub type LinearRef<'a, I, O, D> = (&'a Tensor<(O, I), f32, D>, &'a Tensor<(O,), f32, D>);

/// The four trainable tensors of an adapter of hidden width `R`.
#[derive(Debug)]
pub struct AdapterRef<'a, C: ConstDim, R: ConstDim, D: Backend> {
    /// `C` to `R` channels.
    pub down: LinearRef<'a, C, R, D>,
    /// `R` to `C` channels.
    pub up: LinearRef<'a, R, C, D>,
}

impl<I: ConstDim, O: ConstDim, D: Backend> LinearWeights<'_, I, O, D> {
    fn erased(&self) -> [FrozenOf<D>; 2] {
        [self.0.data().clone(), self.1.data().clone()]
    }
}

impl<C: ConstDim, D: Backend> NormWeights<'_, C, D> {
    fn erased(&self) -> [FrozenOf<D>; 2] {
        [self.0.data().clone(), self.1.data().clone()]
    }
}

impl<C: ConstDim, CO: ConstDim, D: Backend> BlockWeights<'_, C, CO, D> {
    pub(super) fn erased(&self, skip: Option<&LinearWeights<'_, C, CO, D>>) -> BlockBuffers<FrozenOf<D>> {
        BlockBuffers {
            norm1: self.norm1.erased(),
            qkv: self.qkv.erased(),
            proj: self.proj.erased(),
            norm2: self.norm2.erased(),
            fc1: self.fc1.erased(),
            fc2: self.fc2.erased(),
            skip: skip.map(LinearWeights::erased),
        }
    }
}

/// An adapter's tensors with run-time shapes: down weight and bias, up weight and bias.
type Adapter<D> = (Erased<2, D>, Erased<1, D>, Erased<2, D>, Erased<1, D>);

impl<C: ConstDim, R: ConstDim, D: Backend> AdapterRef<'_, C, R, D> {
    fn erased(&self) -> Adapter<D> {
        let ((down, down_bias), (up, up_bias)) = (self.down, self.up);
        (erase(down.clone()), erase(down_bias.clone()), erase(up.clone()), erase(up_bias.clone()))
    }
}

/// An adapter, then a block that keeps the map's size, `(B, H, H, C)`.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square, or the heads do not divide the channels.
///
/// # Errors
/// When the device fails.
pub fn adapted_block<B, H, C, R, D, T>(
    x: Map<B, H, C, D, T>,
    adapter: AdapterRef<'_, C, R, D>,
    weights: BlockWeights<'_, C, C, D>,
    attention: AttentionConfig,
    memory: MemoryUse,
) -> Result<Map<B, H, C, D, T>, D::Err>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    R: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    Ok(retype(erased(erase_map(x), C::SIZE, adapter.erased(), weights.erased(None), attention, memory)?))
}

/// An adapter, then a block that pools, `(B, H, H, C)` to `(B, H/2, H/2, CO)`; `skip` is the projection on the skip path.
///
/// # Panics
/// When a run-time batch is empty, a run-time side is not square or odd, the window's side is odd, or the heads do not divide
/// the channels.
///
/// # Errors
/// When the device fails.
#[allow(clippy::type_complexity)]
pub fn pooling_block<B, H, C, CO, R, D, T>(
    x: Map<B, H, C, D, T>,
    adapter: AdapterRef<'_, C, R, D>,
    weights: BlockWeights<'_, C, CO, D>,
    skip: LinearWeights<'_, C, CO, D>,
    attention: AttentionConfig,
    memory: MemoryUse,
) -> Result<Map<B, H::Half, CO, D, T>, D::Err>
where
    B: Dim,
    H: EvenSide,
    C: ConstDim,
    CO: ConstDim,
    R: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    Ok(retype(erased(erase_map(x), CO::SIZE, adapter.erased(), weights.erased(Some(&skip)), attention, memory)?))
}

/// The sizes of a block, after checking the map.
///
/// # Panics
/// When heads do not divide the channels, or an odd map or window is to be pooled.
pub(super) fn block_size(
    [batch, height, width, channels]: [usize; 4],
    out_channels: usize,
    hidden: usize,
    attention: AttentionConfig,
    pool: bool,
) -> BlockSize {
    let (heads, window) = (attention.heads, attention.window);
    assert!(
        heads > 0 && out_channels.is_multiple_of(heads),
        "{out_channels} channels are not divided by {heads} heads"
    );
    if pool {
        let even = |n: usize| n > 0 && n.is_multiple_of(2);
        assert!(even(height) && even(width), "a pooling block halves its map, and {height} x {width} is odd");
        assert!(window.is_multiple_of(2), "a pooling block halves its windows, and their side {window} is odd");
    }
    BlockSize { batch, map: Extent::new(height, width), channels, out_channels, hidden, attention, pool }
}

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    out_channels: usize,
    a: Adapter<D>,
    weights: BlockBuffers<FrozenOf<D>>,
    attention: AttentionConfig,
    memory: MemoryUse,
) -> Result<Erased<4, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let device = x.device().clone();
    let size = block_size(*x.shape(), out_channels, a.0.shape()[0], attention, weights.skip.is_some());
    let out = size.out_map();
    let memory = if T::OWNS_TAPE { memory } else { MemoryUse::Small };
    let views = |d: &D| [d.view(&a.0), d.view(&a.1), d.view(&a.2), d.view(&a.3)];
    let (y, saved) = device.build_with([size.batch, out.height, out.width, out_channels], |y| {
        device.run(|k| k.adapted_block(size, &device.view(&x), &views(&device), &weights, memory, y))
    })?;
    if T::OWNS_TAPE {
        let inputs = [
            GradientOf::tensor(&x),
            GradientOf::tensor(&a.0),
            GradientOf::tensor(&a.1),
            GradientOf::tensor(&a.2),
            GradientOf::tensor(&a.3),
        ];
        record_backward(&mut tape, &device, inputs, GradientOf::tensor(&y), move |d, k, gy, gradients| {
            let views = [d.view(&a.0), d.view(&a.1), d.view(&a.2), d.view(&a.3)];
            k.adapted_block_backward(size, &d.view(&x), &views, &weights, saved, &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
