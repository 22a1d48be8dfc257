//! An adapter and the frozen Hiera block that follows it, forward and backward.
//!
//! `n` counts tokens in, `m` tokens out (a quarter of `n` if the block pools), `c` channels in and `co` out. A group of
//! maps is computed at once; projections stay without their bias until it is added by whatever reads them.

use super::attention::{Attended, Attention};
use super::buffer::{Buffer, Operand, Scratch};
use super::columns::{add_column_sums, add_columns};
use super::error::GpuError;
use super::gpu::Gpu;
use super::linear::{
    Rounded, linear, linear_as, linear_backward, linear_backward_as, rounded, rounded_away, rounded_two,
    weight_gradient,
};
use super::rows::{
    Epilogue, bias_add_norm, bias_add_pooled, bias_epilogue, bias_gelu, bias_gelu_add, bias_gelu_add_norm,
    bias_gelu_backward, bias_gelu_backward_in_place, bias_gelu_in_place, bias_gelu_of, layer_norm, layer_norm_backward,
    pool_backward,
};
use super::view::{OperandSlice, Slice, SliceMut};
use crate::kernels::adapted_block::{AdaptedBlockKernel, BlockBuffers, BlockSize};
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use std::sync::Arc;

/// Elements of the widest layer of a group of maps, about: what bounds temporary memory. A large batch fits, as
/// products of many rows fill a GPU.
const GROUP_NUMBERS: usize = 1 << 26;

impl AdaptedBlockKernel for Gpu {
    type Saved = Saved;

    fn adapted_block(
        &self,
        size: BlockSize,
        x: &Buffer,
        adapter: &[Buffer; 4],
        frozen: &BlockBuffers<Arc<Operand>>,
        keep: MemoryUse,
        y: SliceMut<'_>,
    ) -> Result<Saved, GpuError> {
        let block = Block::new(self, size, adapter.each_ref().map(Slice::from), frozen)?;
        block.forward(x.into(), keep, y)
    }

    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &Buffer,
        adapter: &[Buffer; 4],
        frozen: &BlockBuffers<Arc<Operand>>,
        saved: Saved,
        gy: &Buffer,
        [gx, down_w, down_b, up_w, up_b]: [SliceMut<'_>; 5],
    ) -> Result<(), GpuError> {
        let block = Block::new(self, size, adapter.each_ref().map(Slice::from), frozen)?;
        let gradients = BlockGradients { x: gx, adapter: [down_w, down_b, up_w, up_b] };
        block.backward(x.into(), saved, gy.into(), gradients)
    }
}

/// One block with its weights.
pub struct Block<'a> {
    gpu: &'a Gpu,
    size: BlockSize,
    /// Precision of the products: that of the frozen weights.
    precision: Precision,
    /// The adapter's weight `(r, c)` and bias.
    down: (Rounded<'a>, Slice<'a>),
    /// Its weight `(c, r)` and bias.
    up: (Rounded<'a>, Slice<'a>),
    frozen: &'a BlockBuffers<Arc<Operand>>,
    group_numbers: usize,
}

/// What the forward pass saved for the backward pass, group by group.
#[derive(Debug)]
pub struct Saved(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    /// Projections `(n, 3 co)` without their bias.
    qkv: Option<Operand>,
    attended: Option<Attended>,
}

/// Gradients to add to.
pub struct BlockGradients<'a> {
    pub x: SliceMut<'a>,
    /// In the adapter's order.
    pub adapter: [SliceMut<'a>; 4],
}

/// A group's range of the whole batch.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
}

impl Span {
    fn of(self, all: Slice<'_>) -> Slice<'_> {
        all.at(self.start, self.len)
    }

    fn of_mut<'p>(self, all: &'p mut SliceMut<'_>) -> SliceMut<'p> {
        all.at(self.start, self.len)
    }
}

/// The adapter's products, without their bias: its output is `z = x + gelu(up + bias)`.
struct Adapted {
    /// `down x`, `(n, r)`.
    down: Scratch,
    /// `up gelu(down + bias)`, `(n, c)`.
    up: Scratch,
}

/// Adapter and projections of a group.
struct Projected {
    /// The adapter's output `(n, c)`.
    z: Scratch,
    /// `(n, 3 co)`, as the attention takes them.
    qkv: Operand,
    /// The skip path's projection `(n, co)` before its pool, if the block pools.
    skip: Option<Scratch>,
}

/// What the MLP takes.
struct Joined {
    /// Attention with its skip, `(m, co)`.
    a: Scratch,
    /// Its norm, as the next product takes it.
    normed: Operand,
}

impl<'a> Block<'a> {
    /// `adapter`: down weight `(r, c)`, down bias, up weight `(c, r)`, up bias.
    pub fn new(
        gpu: &'a Gpu,
        size: BlockSize,
        [down, down_bias, up, up_bias]: [Slice<'a>; 4],
        frozen: &'a BlockBuffers<Arc<Operand>>,
    ) -> Result<Self, GpuError> {
        let precision = frozen.qkv[0].precision();
        let [down, up] = rounded_two(gpu, [down, up], precision)?;
        let (down, up) = ((down, down_bias), (up, up_bias));
        Ok(Self { gpu, size, precision, down, up, frozen, group_numbers: GROUP_NUMBERS })
    }

    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch.
    pub fn forward(&self, x: Slice<'_>, keep: MemoryUse, mut y: SliceMut<'_>) -> Result<Saved, GpuError> {
        let mut saved = Vec::new();
        for (first, maps) in self.groups() {
            let x = self.tokens_in(first, maps).of(x);
            let Projected { z, qkv, skip } = self.project(maps, x, &self.adapt(x)?)?;
            let attended = self.attention(maps).forward(self.gpu, &qkv)?;
            // A pooling block's projections would be four times as long for its output.
            let keeps = keep != MemoryUse::Small;
            let qkv = Some(qkv).filter(|_| keeps && !self.size.pool);
            let joined = self.join(&attended, &z, skip.as_ref())?;
            let attended = Some(attended).filter(|_| keeps);
            drop((z, skip));
            saved.push(Kept { qkv, attended });
            self.mlp(joined, self.tokens_out(first, maps).of_mut(&mut y))?;
        }
        Ok(Saved(saved))
    }

    /// Adds to the gradients of the input and of the adapter.
    pub fn backward(
        &self,
        x: Slice<'_>,
        saved: Saved,
        gy: Slice<'_>,
        mut gradients: BlockGradients<'_>,
    ) -> Result<(), GpuError> {
        for ((first, maps), Kept { qkv, attended }) in self.groups().zip(saved.0) {
            let (tokens_in, tokens_out) = (self.tokens_in(first, maps), self.tokens_out(first, maps));
            let (x, gy) = (tokens_in.of(x), tokens_out.of(gy));
            let adapted = self.adapt(x)?;
            let Projected { z, qkv, skip } = match qkv {
                Some(qkv) => {
                    let z = bias_gelu_add(self.gpu, (&adapted.up).into(), [self.up.1, x])?;
                    Projected { z, qkv, skip: None }
                }
                None => self.project(maps, x, &adapted)?,
            };
            let attention = self.attention(maps);
            let attended = match attended {
                Some(attended) => attended,
                None => attention.forward(self.gpu, &qkv)?,
            };
            let joined = self.join(&attended, &z, skip.as_ref())?;
            let ga = self.mlp_backward(joined, gy)?;
            let gqkv = {
                let co = self.size.out_channels;
                let extents = [ga.len() / co, co, co];
                let rounded = rounded(self.gpu, (&ga).into(), self.precision)?;
                let weight = OperandSlice::from(&self.frozen.proj[0]);
                let stored = attention.stored()?;
                let go = linear_backward_as(self.gpu, extents, (&rounded).into(), weight, stored)?;
                attention.backward(self.gpu, &qkv, &attended, &go)?
            };
            drop((qkv, attended));
            let gz = self.project_backward(&z, skip, &ga, gqkv)?;
            drop((z, ga));
            self.adapter_backward(x, adapted, gz, tokens_in.of_mut(&mut gradients.x), &mut gradients.adapter)?;
        }
        Ok(())
    }

    /// First map and number of maps of each group.
    fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let BlockSize { batch, out_channels, .. } = self.size;
        let maps = (self.group_numbers / (self.size.map.area() * 4 * out_channels)).clamp(1, batch.max(1));
        (0..batch).step_by(maps).map(move |first| (first, maps.min(batch - first)))
    }

    /// A group's part of what has a row of `c` numbers for each token in.
    fn tokens_in(&self, first: usize, maps: usize) -> Span {
        let map = self.size.map.area() * self.size.channels;
        Span { start: first * map, len: maps * map }
    }

    /// A group's part of what has a row of `co` numbers for each token out.
    fn tokens_out(&self, first: usize, maps: usize) -> Span {
        let map = self.size.out_map().area() * self.size.out_channels;
        Span { start: first * map, len: maps * map }
    }

    /// Gamma and beta, or another pair of frozen weights that no product takes.
    fn pair(pair: &[Arc<Operand>; 2]) -> [Slice<'_>; 2] {
        pair.each_ref().map(Slice::from)
    }

    fn attention(&self, maps: usize) -> Attention<'a> {
        let s = &self.size;
        Attention {
            maps,
            map: self.size.map,
            window: s.attention.window,
            heads: s.attention.heads,
            dim: s.out_channels / s.attention.heads,
            pool: s.pool,
            bias: (&self.frozen.qkv[1]).into(),
            precision: self.precision,
        }
    }

    /// The adapter's end, first norm, projections.
    fn project(&self, maps: usize, x: Slice<'_>, adapted: &Adapted) -> Result<Projected, GpuError> {
        let (s, c, co) = (self.gpu, self.size.channels, self.size.out_channels);
        let n = maps * self.size.map.area();
        let norm = Self::pair(&self.frozen.norm1);
        let (z, normed) = bias_gelu_add_norm(s, (&adapted.up).into(), [self.up.1, x], norm, self.precision)?;
        let (weight, stored) = (OperandSlice::from(&self.frozen.qkv[0]), self.attention(maps).stored()?);
        let qkv = linear_as(s, [n, c, 3 * co], (&normed).into(), weight, stored)?;
        let skip = match &self.frozen.skip {
            Some([weight, _]) => {
                let mut skip = s.scratch(n * co)?;
                linear(s, [n, c, co], (&normed).into(), weight.into(), 0.0, (&mut skip).into())?;
                Some(skip)
            }
            None => None,
        };
        Ok(Projected { z, qkv, skip })
    }

    /// The adapter's products.
    fn adapt(&self, x: Slice<'_>) -> Result<Adapted, GpuError> {
        let (s, c, r) = (self.gpu, self.size.channels, self.size.hidden);
        let ((down_weight, down_bias), (up_weight, _)) = (&self.down, &self.up);
        let (n, x) = (x.len() / c, rounded(s, x, self.precision)?);
        let (mut down, mut up) = (s.scratch(n * r)?, s.scratch(n * c)?);
        linear(s, [n, c, r], (&x).into(), down_weight.into(), 0.0, (&mut down).into())?;
        let h = bias_gelu_of(s, (&down).into(), *down_bias, self.precision)?;
        linear(s, [n, r, c], (&h).into(), up_weight.into(), 0.0, (&mut up).into())?;
        Ok(Adapted { down, up })
    }

    /// Attention's projection and the skip path, and the second norm of that.
    fn join(&self, attended: &Attended, z: &Scratch, skip: Option<&Scratch>) -> Result<Joined, GpuError> {
        let (s, co) = (self.gpu, self.size.out_channels);
        let [weight, bias] = &self.frozen.proj;
        let out = &attended.out;
        let mut a = s.scratch(out.len())?;
        linear(s, [out.len() / co, co, co], out.into(), weight.into(), 0.0, (&mut a).into())?;
        let norm = Self::pair(&self.frozen.norm2);
        let normed = match (skip, &self.frozen.skip) {
            (Some(skip), Some([_, skip_bias])) => {
                bias_add_pooled(s, self.size.out_map(), (&mut a).into(), bias.into(), skip.into(), skip_bias.into())?;
                layer_norm(s, (&a).into(), norm, self.precision)?
            }
            _ => bias_add_norm(s, (&mut a).into(), [bias.into(), z.into()], norm, self.precision)?,
        };
        Ok(Joined { a, normed })
    }

    /// `y = a + fc2(gelu(fc1(norm2 a)))`.
    fn mlp(&self, Joined { a, normed }: Joined, mut y: SliceMut<'_>) -> Result<(), GpuError> {
        let (s, co) = (self.gpu, self.size.out_channels);
        let [weight, bias] = &self.frozen.fc2;
        let mut hidden = self.mlp_hidden(normed)?;
        bias_gelu_in_place(s, &mut hidden, (&self.frozen.fc1[1]).into())?;
        linear(s, [a.len() / co, 4 * co, co], (&hidden).into(), weight.into(), 0.0, y.reborrow())?;
        bias_epilogue(s, y, bias.into(), Epilogue::Add((&a).into()))
    }

    /// `fc1(norm2 a)` without its bias, stored as the next product takes its operands.
    fn mlp_hidden(&self, normed: Operand) -> Result<Operand, GpuError> {
        let (s, co) = (self.gpu, self.size.out_channels);
        let weight = OperandSlice::from(&self.frozen.fc1[0]);
        linear_as(s, [normed.len() / co, co, 4 * co], (&normed).into(), weight, self.precision)
    }

    /// The gradient of the attention's output with its skip, `(m, co)`.
    fn mlp_backward(&self, Joined { a, normed }: Joined, gy: Slice<'_>) -> Result<Scratch, GpuError> {
        let (s, co, f) = (self.gpu, self.size.out_channels, self.frozen);
        let (m, hidden, operand) = (a.len() / co, self.mlp_hidden(normed)?, rounded(s, gy, self.precision)?);
        let weight = OperandSlice::from(&f.fc2[0]);
        let mut g_hidden = linear_backward_as(s, [m, 4 * co, co], (&operand).into(), weight, self.precision)?;
        drop(operand);
        bias_gelu_backward_in_place(s, &hidden, (&f.fc1[1]).into(), &mut g_hidden)?;
        drop(hidden);
        let mut ga = s.scratch(a.len())?;
        linear_backward(s, [m, co, 4 * co], (&g_hidden).into(), (&f.fc1[0]).into(), 0.0, (&mut ga).into())?;
        layer_norm_backward(s, (&a).into(), (&f.norm2[0]).into(), (&mut ga).into(), Some(gy))?;
        Ok(ga)
    }

    /// Backward pass of projections and first norm: the gradient of the adapter's output `(n, c)`.
    fn project_backward(
        &self,
        z: &Scratch,
        skip: Option<Scratch>,
        ga: &Scratch,
        gqkv: Operand,
    ) -> Result<Scratch, GpuError> {
        let (s, c, co) = (self.gpu, self.size.channels, self.size.out_channels);
        let n = z.len() / c;
        let mut gz = s.scratch(z.len())?;
        linear_backward(s, [n, c, 3 * co], (&gqkv).into(), (&self.frozen.qkv[0]).into(), 0.0, (&mut gz).into())?;
        drop(gqkv);
        let residual = match (skip, &self.frozen.skip) {
            (Some(mut skip), Some([weight, bias])) => {
                pool_backward(s, self.size.out_map(), (&mut skip).into(), bias.into(), ga.into())?;
                let skip = rounded_away(s, skip, self.precision)?;
                linear_backward(s, [n, c, co], (&skip).into(), weight.into(), 1.0, (&mut gz).into())?;
                None
            }
            _ => Some(ga.into()),
        };
        layer_norm_backward(s, z.into(), (&self.frozen.norm1[0]).into(), (&mut gz).into(), residual)?;
        Ok(gz)
    }

    /// Backward pass of the adapter; `gz`, the gradient of its output, becomes that of its second product. The weights'
    /// gradients are products in single precision.
    fn adapter_backward(
        &self,
        x: Slice<'_>,
        Adapted { down: before, up: products }: Adapted,
        gz: Scratch,
        mut gx: SliceMut<'_>,
        gradients: &mut [SliceMut<'_>; 4],
    ) -> Result<(), GpuError> {
        let (s, c, r) = (self.gpu, self.size.channels, self.size.hidden);
        let ((down, down_bias), (up, up_bias)) = (&self.down, &self.up);
        let [g_down, g_down_bias, g_up, g_up_bias] = gradients;
        let (n, mut gu) = (x.len() / c, gz);
        let (mut h, mut gh) = (s.scratch(n * r)?, s.scratch(n * r)?);
        bias_gelu(s, (&before).into(), *down_bias, (&mut h).into())?;
        add_columns(s, c, (&gu).into(), [c, 0], gx.reborrow())?;
        bias_gelu_backward(s, (&products).into(), *up_bias, (&mut gu).into())?;
        drop(products);
        let operand = rounded(s, (&gu).into(), self.precision)?;
        linear_backward(s, [n, r, c], (&operand).into(), up.into(), 0.0, (&mut gh).into())?;
        drop(operand);
        bias_gelu_backward(s, (&before).into(), *down_bias, (&mut gh).into())?;
        let operand = rounded(s, (&gh).into(), self.precision)?;
        linear_backward(s, [n, c, r], (&operand).into(), down.into(), 1.0, gx)?;
        let (h, gh, gu) = (Slice::from(&h), Slice::from(&gh), Slice::from(&gu));
        weight_gradient(s, [n, c, r], x.exact(), gh.exact(), 1.0, g_down.reborrow())?;
        add_column_sums(s, gh, g_down_bias.reborrow())?;
        weight_gradient(s, [n, r, c], h.exact(), gu.exact(), 1.0, g_up.reborrow())?;
        add_column_sums(s, gu, g_up_bias.reborrow())
    }
}

#[cfg(test)]
mod tests;
