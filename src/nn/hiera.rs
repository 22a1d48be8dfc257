//! SAM2's image encoder, frozen, with a small trainable adapter before each block.
//!
//! Hiera (arXiv 2306.00989) as SAM2 configures it (arXiv 2408.00714); the adapters are SAM2-UNet's
//! (arXiv 2408.08870, "Adapter"). A map is halved and its channels doubled by the first block of
//! stages 2 to 4.

use super::backend::bound::Backend;
use super::backend::tape::{Inference, Training};
use super::gradient_marks::{GradientMark, mark};
use super::layers::adapter::Adapter;
use super::layers::linear::{FrozenLinear, FrozenNorm};
use super::layers::repeat::Repeat;
use super::ops::activation::Activation;
use super::ops::adapted_block::{BlockWeights, adapted_block, pooling_block};
use super::ops::patch_embed::{StemRef, patch_embed};
use super::shape::{EvenSide, Image, Map, Plus, Side, Times};
use super::variant::Variant;
use super::weights::module::module;
use super::weights::roles::Frozen;
use crate::kernels::adapted_block::AttentionConfig;
use crate::kernels::memory_use::MemoryUse;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use std::marker::PhantomData;

module! {
    /// The frozen part of a block from `C` to `CO` channels: attention, then a two-layer MLP.
    pub struct BlockTrunk<C: ConstDim, CO: ConstDim, D: Backend> {
        /// Before attention.
        pub norm1("norm1"): FrozenNorm<C, D>,
        /// Queries, keys and values side by side.
        pub qkv("attn.qkv"): FrozenLinear<C, Times<3, CO>, D>,
        /// After attention.
        pub proj("attn.proj"): FrozenLinear<CO, CO, D>,
        /// Before the MLP.
        pub norm2("norm2"): FrozenNorm<CO, D>,
        /// The MLP's first layer; GELU (the exact one) follows.
        pub fc1("mlp.layers.0"): FrozenLinear<CO, Times<4, CO>, D>,
        /// The MLP's second layer.
        pub fc2("mlp.layers.1"): FrozenLinear<Times<4, CO>, CO, D>,
    }
}

module! {
    /// A block that keeps the map's size: `(B, H, H, C) -> (B, H, H, C)`.
    pub struct Block<V: Variant, C: ConstDim, D: Backend> {
        /// The frozen part.
        pub trunk("block"): BlockTrunk<C, C, D>,
        /// The trainable part, applied first.
        pub adapter("prompt_learn"): Adapter<C, D>,
    } with |path, from| {
        /// Heads and window of its attention, which follow from its number in the encoder.
        pub attention: AttentionConfig = V::attention(path.index()),
        /// What training saves for the backward pass.
        memory: MemoryUse = from.options().memory,
        variant: PhantomData<V> = PhantomData,
    }
}

module! {
    /// A stage's first block, which pools: `(B, H, H, C) -> (B, H/2, H/2, CO)` with `CO = 2 C`.
    pub struct PoolBlock<V: Variant, C: ConstDim, CO: ConstDim, D: Backend> {
        /// The frozen part.
        pub trunk("block"): BlockTrunk<C, CO, D>,
        /// The skip path's projection, whose output is pooled.
        pub skip("block.proj"): FrozenLinear<C, CO, D>,
        /// The trainable part, applied first.
        pub adapter("prompt_learn"): Adapter<C, D>,
    } with |path, from| {
        /// Heads and window of its attention, which follow from its number in the encoder.
        pub attention: AttentionConfig = V::attention(path.index()),
        /// What training saves for the backward pass.
        memory: MemoryUse = from.options().memory,
        variant: PhantomData<V> = PhantomData,
    }
}

module! {
    /// Block `FIRST`, which pools, then `N` that keep the map's size.
    pub struct Stage<V: Variant, C: ConstDim, CO: ConstDim, FIRST: ConstDim, N: ConstDim, D: Backend> {
        /// The pooling block.
        pub first(FIRST::SIZE): PoolBlock<V, C, CO, D>,
        /// The others.
        pub rest(""): Repeat<Block<V, CO, D>, N, Plus<1, FIRST>>,
    }
}

module! {
    /// The patch embedding: a 7x7 convolution with stride 4 from the image to the first map.
    pub struct PatchEmbed<C: ConstDim, D: Backend> {
        /// `(C, 3, 7, 7)`.
        pub weight("proj.weight"): Frozen<(C, Const<3>, Const<7>, Const<7>), D>,
        /// `(C,)`.
        pub bias("proj.bias"): Frozen<(C,), D>,
    }
}

module! {
    /// The encoder. Blocks are numbered through all four stages.
    pub struct Hiera<V: Variant, D: Backend> {
        /// Positional embedding of the whole map, resized (bicubic) to it.
        pub pos_embed("pos_embed"): Frozen<(Const<1>, V::C1, V::Background, V::Background), D>,
        /// Positional embedding of a window, tiled.
        pub pos_embed_window("pos_embed_window"): Frozen<(Const<1>, V::C1, V::Tile, V::Tile), D>,
        /// From the image to the first map.
        pub patch_embed("patch_embed"): PatchEmbed<V::C1, D>,
        /// At a quarter of the side.
        pub stage1("blocks"): Repeat<Block<V, V::C1, D>, V::PlainBlocks1>,
        /// At an eighth.
        pub stage2("blocks"): Stage<V, V::C1, V::C2, V::PlainBlocks1, V::PlainBlocks2, D>,
        /// At a sixteenth.
        pub stage3("blocks"): Stage<V, V::C2, V::C3, V::FirstBlock3, V::PlainBlocks3, D>,
        /// At a thirty-second.
        pub stage4("blocks"): Stage<V, V::C3, V::C4, V::FirstBlock4, V::PlainBlocks4, D>,
    }
}

/// The encoder's four maps, finest first. Each holds the piece of the tape of its own stage.
pub type Features<B, S, V, D, T = NoneTape> = (
    Map<B, <S as Side>::Quarter, <V as Variant>::C1, D, T>,
    Map<B, <S as Side>::Eighth, <V as Variant>::C2, D, T>,
    Map<B, <S as Side>::Sixteenth, <V as Variant>::C3, D, T>,
    Map<B, <S as Side>::ThirtySecond, <V as Variant>::C4, D, T>,
);

/// The same in inference.
pub type Activations<B, S, V, D> = (
    Activation<B, <S as Side>::Quarter, <V as Variant>::C1, D>,
    Activation<B, <S as Side>::Eighth, <V as Variant>::C2, D>,
    Activation<B, <S as Side>::Sixteenth, <V as Variant>::C3, D>,
    Activation<B, <S as Side>::ThirtySecond, <V as Variant>::C4, D>,
);

impl<C: ConstDim, CO: ConstDim, D: Backend> BlockTrunk<C, CO, D> {
    /// Its weights, for the operation.
    pub fn weights(&self) -> BlockWeights<'_, C, CO, D> {
        BlockWeights {
            norm1: self.norm1.weights(),
            qkv: self.qkv.weights(),
            proj: self.proj.weights(),
            norm2: self.norm2.weights(),
            fc1: self.fc1.weights(),
            fc2: self.fc2.weights(),
        }
    }
}

impl<V: Variant, B: Dim, H: Dim, C: ConstDim, D: Backend> Module<&Activation<B, H, C, D>> for Block<V, C, D> {
    type Output = Activation<B, H, C, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        x.adapted_block(self.adapter.weights(), self.trunk.weights(), self.attention)
    }
}

impl<V: Variant, B: Dim, H: Dim, C: ConstDim, D: Backend, T: Training<D>> ModuleMut<Map<B, H, C, D, T>>
    for Block<V, C, D>
{
    type Output = Map<B, H, C, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        adapted_block(x, self.adapter.weights(), self.trunk.weights(), self.attention, self.memory)
    }
}

impl<V: Variant, B: Dim, H: EvenSide, C: ConstDim, CO: ConstDim, D: Backend> Module<&Activation<B, H, C, D>>
    for PoolBlock<V, C, CO, D>
{
    type Output = Activation<B, H::Half, CO, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        const { assert!(CO::SIZE == 2 * C::SIZE, "a pooling block doubles the channels") };
        x.pooling_block(self.adapter.weights(), self.trunk.weights(), self.skip.weights(), self.attention)
    }
}

impl<V: Variant, B: Dim, H: EvenSide, C: ConstDim, CO: ConstDim, D: Backend, T: Training<D>>
    ModuleMut<Map<B, H, C, D, T>> for PoolBlock<V, C, CO, D>
{
    type Output = Map<B, H::Half, CO, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        const { assert!(CO::SIZE == 2 * C::SIZE, "a pooling block doubles the channels") };
        let (adapter, weights, skip) = (self.adapter.weights(), self.trunk.weights(), self.skip.weights());
        pooling_block(x, adapter, weights, skip, self.attention, self.memory)
    }
}

impl<V, B, H, C, CO, FIRST, N, D> Module<&Activation<B, H, C, D>> for Stage<V, C, CO, FIRST, N, D>
where
    V: Variant,
    B: Dim,
    H: EvenSide,
    C: ConstDim,
    CO: ConstDim,
    FIRST: ConstDim,
    N: ConstDim,
    D: Backend,
{
    type Output = Activation<B, H::Half, CO, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        self.rest.try_forward(self.first.try_forward(x)?)
    }
}

impl<V, B, H, C, CO, FIRST, N, D, T> ModuleMut<Map<B, H, C, D, T>> for Stage<V, C, CO, FIRST, N, D>
where
    V: Variant,
    B: Dim,
    H: EvenSide,
    C: ConstDim,
    CO: ConstDim,
    FIRST: ConstDim,
    N: ConstDim,
    D: Backend,
    T: Training<D>,
{
    type Output = Map<B, H::Half, CO, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        let x = self.first.try_forward_mut(x)?;
        self.rest.try_forward_mut(x)
    }
}

impl<V: Variant, D: Backend> Hiera<V, D> {
    fn stem(&self) -> StemRef<'_, V::C1, V::Background, V::Tile, D> {
        StemRef {
            weight: &self.patch_embed.weight,
            bias: &self.patch_embed.bias,
            background: &self.pos_embed,
            window: &self.pos_embed_window,
        }
    }

    /// Inference: from an image to its four maps, without tensors in between.
    ///
    /// # Panics
    /// When a run-time batch is empty, or a run-time side is not square, no multiple of 32, or below 64.
    ///
    /// # Errors
    /// When the device fails.
    pub fn activations<B: Dim, S: Side, T: Inference<D>>(
        &self,
        image: Image<B, S, D, T>,
    ) -> Result<Activations<B, S, V, D>, D::Err> {
        let () = V::CHECKED;
        let x1 = self.stage1.try_forward(Activation::patch_embed(image, self.stem())?)?;
        let x2 = self.stage2.try_forward(&x1)?;
        let x3 = self.stage3.try_forward(&x2)?;
        let x4 = self.stage4.try_forward(&x3)?;
        Ok((x1, x2, x3, x4))
    }
}

impl<V: Variant, B: Dim, S: Side, D: Backend, T: Inference<D>> Module<Image<B, S, D, T>> for Hiera<V, D> {
    type Output = Features<B, S, V, D, T>;
    type Error = D::Err;
    fn try_forward(&self, image: Image<B, S, D, T>) -> Result<Self::Output, D::Err> {
        let (x1, x2, x3, x4) = self.activations(image)?;
        Ok((x1.into_map()?, x2.into_map()?, x3.into_map()?, x4.into_map()?))
    }
}

impl<V: Variant, B: Dim, S: Side, D: Backend, T: Training<D>> ModuleMut<Image<B, S, D, T>> for Hiera<V, D> {
    type Output = Features<B, S, V, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, image: Image<B, S, D, T>) -> Result<Self::Output, D::Err> {
        let () = V::CHECKED;
        let x = patch_embed(image, self.stem())?;
        let x1 = self.stage1.try_forward_mut(x)?;
        let x2 = self.stage2.try_forward_mut(x1.with_empty_tape())?;
        let x2 = mark(x2, GradientMark::Fine);
        let x3 = self.stage3.try_forward_mut(x2.with_empty_tape())?;
        let x4 = self.stage4.try_forward_mut(x3.with_empty_tape())?;
        Ok((x1, x2, x3, mark(x4, GradientMark::Encoder)))
    }
}
