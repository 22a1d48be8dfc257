//! SAM2's image encoder, frozen, with a small trainable adapter before each block.
//!
//! Hiera (arXiv 2306.00989) as SAM2 configures it (arXiv 2408.00714); the adapters are SAM2-UNet's
//! (arXiv 2408.08870, section 3.2). A map is halved and its channels doubled by the first block of
//! stages 2 to 4.

use super::ops::adapted_block::FrozenBlock;
use super::ops::{self, AdapterRef, BlockWeights, Geometry, Keep};
use super::{Backend, Even, Frozen, Hidden, Image, Map, Param, Plus, Repeat, Side, Times, Variant};
use dfdx::nn::{Module, NonMutableModule};
use dfdx::prelude::*;
use std::marker::PhantomData;

module! {
    /// The trainable part of a block: `x + gelu(up(gelu(down(x))))`.
    pub struct Adapter<C: ConstDim, D: Backend> {
        /// `(32, C)`: to the hidden width.
        pub down_weight("0.weight"): Param<(Hidden, C), D>,
        /// `(32,)`.
        pub down_bias("0.bias"): Param<(Hidden,), D>,
        /// `(C, 32)`: and back.
        pub up_weight("2.weight"): Param<(C, Hidden), D>,
        /// `(C,)`.
        pub up_bias("2.bias"): Param<(C,), D>,
    }
}

module! {
    /// A frozen linear layer from `I` to `O` channels.
    pub struct FrozenLinear<I: ConstDim, O: ConstDim, D: Backend> {
        /// `(O, I)`.
        pub weight("weight"): Frozen<(O, I), D>,
        /// `(O,)`.
        pub bias("bias"): Frozen<(O,), D>,
    }
}

module! {
    /// A frozen layer normalisation over `C` channels (eps 1e-6).
    pub struct FrozenNorm<C: ConstDim, D: Backend> {
        /// `(C,)`.
        pub weight("weight"): Frozen<(C,), D>,
        /// `(C,)`.
        pub bias("bias"): Frozen<(C,), D>,
    }
}

module! {
    /// The frozen part of a block from `C` to `CO` channels: attention, then a two-layer perceptron.
    pub struct Trunk<C: ConstDim, CO: ConstDim, D: Backend> {
        /// Before attention.
        pub norm1("norm1"): FrozenNorm<C, D>,
        /// Queries, keys and values side by side.
        pub qkv("attn.qkv"): FrozenLinear<C, Times<3, CO>, D>,
        /// After attention.
        pub proj("attn.proj"): FrozenLinear<CO, CO, D>,
        /// Before the perceptron.
        pub norm2("norm2"): FrozenNorm<CO, D>,
        /// The perceptron's first layer; GELU (the exact one) follows.
        pub fc1("mlp.layers.0"): FrozenLinear<CO, Times<4, CO>, D>,
        /// The perceptron's second layer.
        pub fc2("mlp.layers.1"): FrozenLinear<Times<4, CO>, CO, D>,
    }
}

module! {
    /// A block that keeps its map: `(B, H, H, C) -> (B, H, H, C)`.
    pub struct Block<V: Variant, C: ConstDim, D: Backend> {
        /// The frozen part.
        pub trunk("block"): Trunk<C, C, D>,
        /// The trainable part, applied first.
        pub adapter("prompt_learn"): Adapter<C, D>,
    } with |path, _| {
        /// How it attends, known from its number in the encoder.
        pub geometry: Geometry = V::geometry(path.number()),
        /// What training keeps of it for the backward pass.
        pub keep: Keep = Keep::default(),
        variant: PhantomData<V> = PhantomData,
    }
}

module! {
    /// A stage's first block, which pools: `(B, H, H, C) -> (B, H/2, H/2, CO)` with `CO = 2 C`.
    pub struct PoolBlock<V: Variant, C: ConstDim, CO: ConstDim, D: Backend> {
        /// The frozen part.
        pub trunk("block"): Trunk<C, CO, D>,
        /// The skip path, pooled after it.
        pub skip("block.proj"): FrozenLinear<C, CO, D>,
        /// The trainable part, applied first.
        pub adapter("prompt_learn"): Adapter<C, D>,
    } with |path, _| {
        /// How it attends, known from its number in the encoder.
        pub geometry: Geometry = V::geometry(path.number()),
        /// What training keeps of it for the backward pass.
        pub keep: Keep = Keep::default(),
        variant: PhantomData<V> = PhantomData,
    }
}

module! {
    /// Block `FIRST`, which pools, then `N` that keep the map.
    pub struct Stage<V: Variant, C: ConstDim, CO: ConstDim, FIRST: ConstDim, N: ConstDim, D: Backend> {
        /// The pooling block.
        pub first(FIRST::SIZE): PoolBlock<V, C, CO, D>,
        /// The others.
        pub rest(""): Repeat<Block<V, CO, D>, N, Plus<1, FIRST>>,
    }
}

module! {
    /// What turns an image into the first map: a 7x7 convolution with stride 4.
    pub struct PatchEmbed<C: ConstDim, D: Backend> {
        /// `(C, 3, 7, 7)`.
        pub weight("proj.weight"): Frozen<(C, Const<3>, Const<7>, Const<7>), D>,
        /// `(C,)`.
        pub bias("proj.bias"): Frozen<(C,), D>,
    }
}

module! {
    /// The encoder. The four stages number their blocks through.
    pub struct Hiera<V: Variant, D: Backend> {
        /// Positional embedding of the whole map, resized (bicubic) to it.
        pub pos_embed("pos_embed"): Frozen<(Const<1>, V::C1, V::Background, V::Background), D>,
        /// Positional embedding of a window, tiled.
        pub pos_embed_window("pos_embed_window"): Frozen<(Const<1>, V::C1, V::Tile, V::Tile), D>,
        /// Image to first map.
        pub patch_embed("patch_embed"): PatchEmbed<V::C1, D>,
        /// At a quarter of the side.
        pub stage1("blocks"): Repeat<Block<V, V::C1, D>, V::Rest1>,
        /// At an eighth.
        pub stage2("blocks"): Stage<V, V::C1, V::C2, V::Rest1, V::Rest2, D>,
        /// At a sixteenth.
        pub stage3("blocks"): Stage<V, V::C2, V::C3, V::First3, V::Rest3, D>,
        /// At a thirty-second.
        pub stage4("blocks"): Stage<V, V::C3, V::C4, V::First4, V::Rest4, D>,
    }
}

/// The encoder's four maps, fine to coarse. Each holds the piece of the tape of its own stage.
pub type Features<B, S, V, D, T = NoneTape> = (
    Map<B, <S as Side>::Quarter, <V as Variant>::C1, D, T>,
    Map<B, <S as Side>::Eighth, <V as Variant>::C2, D, T>,
    Map<B, <S as Side>::Sixteenth, <V as Variant>::C3, D, T>,
    Map<B, <S as Side>::ThirtySecond, <V as Variant>::C4, D, T>,
);

impl<C: ConstDim, D: Backend> Adapter<C, D> {
    fn parts(&self) -> AdapterRef<'_, C, Hidden, D> {
        AdapterRef { down: (&self.down_weight, &self.down_bias), up: (&self.up_weight, &self.up_bias) }
    }
}

impl<I: ConstDim, O: ConstDim, D: Backend> FrozenLinear<I, O, D> {
    fn parts(&self) -> [&D::Frozen; 2] {
        [self.weight.data(), self.bias.data()]
    }
}

impl<C: ConstDim, D: Backend> FrozenNorm<C, D> {
    fn parts(&self) -> [&D::Frozen; 2] {
        [self.weight.data(), self.bias.data()]
    }
}

impl<C: ConstDim, CO: ConstDim, D: Backend> Trunk<C, CO, D> {
    fn parts<'a>(&'a self, skip: Option<&'a FrozenLinear<C, CO, D>>) -> BlockWeights<'a, D> {
        FrozenBlock {
            norm1: self.norm1.parts(),
            qkv: self.qkv.parts(),
            proj: self.proj.parts(),
            norm2: self.norm2.parts(),
            fc1: self.fc1.parts(),
            fc2: self.fc2.parts(),
            skip: skip.map(FrozenLinear::parts),
        }
    }
}

impl<V: Variant, B: Dim, H: Dim, C: ConstDim, D: Backend, T: Tape<f32, D>> Module<Map<B, H, C, D, T>>
    for Block<V, C, D>
{
    type Output = Map<B, H, C, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        let weights = self.trunk.parts(None);
        ops::adapted_block(x, self.adapter.parts(), weights, self.geometry, self.keep)
    }
}

impl<V: Variant, B: Dim, H: Even, C: ConstDim, CO: ConstDim, D: Backend, T: Tape<f32, D>> Module<Map<B, H, C, D, T>>
    for PoolBlock<V, C, CO, D>
{
    type Output = Map<B, H::Half, CO, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        const { assert!(CO::SIZE == 2 * C::SIZE, "a pooling block doubles the channels") };
        let weights = self.trunk.parts(Some(&self.skip));
        ops::adapted_block(x, self.adapter.parts(), weights, self.geometry, self.keep)
    }
}

impl<V, B, H, C, CO, FIRST, N, D, T> Module<Map<B, H, C, D, T>> for Stage<V, C, CO, FIRST, N, D>
where
    V: Variant,
    B: Dim,
    H: Even,
    C: ConstDim,
    CO: ConstDim,
    FIRST: ConstDim,
    N: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    type Output = Map<B, H::Half, CO, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        self.rest.try_forward(self.first.try_forward(x)?)
    }
}

impl<V: Variant, B: Dim, S: Side, D: Backend, T: Tape<f32, D>> Module<Image<B, S, D, T>> for Hiera<V, D> {
    type Output = Features<B, S, V, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Image<B, S, D, T>) -> Result<Self::Output, D::Err> {
        let () = V::CHECKED;
        let x = ops::patch_embed(
            x,
            &self.patch_embed.weight,
            &self.patch_embed.bias,
            &self.pos_embed,
            &self.pos_embed_window,
        )?;
        let x1 = self.stage1.try_forward(x)?;
        let x2 = self.stage2.try_forward(x1.with_empty_tape())?;
        let x3 = self.stage3.try_forward(x2.with_empty_tape())?;
        let x4 = self.stage4.try_forward(x3.with_empty_tape())?;
        Ok((x1, x2, x3, x4))
    }
}

impl<V: Variant, D: Backend> Hiera<V, D> {
    /// Sets what training keeps of each block for the backward pass.
    pub fn keep(&mut self, keep: Keep) {
        fn stage<V: Variant, C: ConstDim, CO: ConstDim, F: ConstDim, N: ConstDim, D: Backend>(
            stage: &mut Stage<V, C, CO, F, N, D>,
            keep: Keep,
        ) {
            stage.first.keep = keep;
            stage.rest.iter_mut().for_each(|block| block.keep = keep);
        }
        self.stage1.iter_mut().for_each(|block| block.keep = keep);
        stage(&mut self.stage2, keep);
        stage(&mut self.stage3, keep);
        stage(&mut self.stage4, keep);
    }
}

// Nothing here changes in training, so `forward_mut` is `forward`.
impl<V: Variant, C: ConstDim, D: Backend> NonMutableModule for Block<V, C, D> {}
impl<V: Variant, C: ConstDim, CO: ConstDim, D: Backend> NonMutableModule for PoolBlock<V, C, CO, D> {}
impl<V: Variant, C: ConstDim, CO: ConstDim, FIRST: ConstDim, N: ConstDim, D: Backend> NonMutableModule
    for Stage<V, C, CO, FIRST, N, D>
{
}
impl<V: Variant, D: Backend> NonMutableModule for Hiera<V, D> {}
