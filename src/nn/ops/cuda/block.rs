//! An adapter and the frozen Hiera block behind it, forward and backward.
//!
//! `n` counts tokens in, `m` tokens out (a quarter of `n` if the block pools), `c` channels in and `co` out. A group of
//! maps is worked on at once; projections stay without their bias until it is added by whatever reads them.

use super::attention::{Attended, Attention};
use super::launch::Stream;
use super::memory::{Numbers, Scratch};
use super::part::{
    After, Part, add_column_sums, add_columns, bias_add_pooled, bias_and, bias_gelu, bias_gelu_backward, layer_norm,
    layer_norm_backward, linear, linear_backward, pool_backward, weight_gradient,
};
use crate::nn::ops::adapted_block::{BlockSize, FrozenBlock, Keep};
use dfdx::prelude::*;
use std::sync::Arc;

/// Numbers that the widest layer of a group of maps has, about: what bounds temporary memory. A large batch fits, as
/// products of many rows fill a GPU.
const GROUP_NUMBERS: usize = 1 << 26;

/// One block with its weights.
pub struct Block<'a> {
    stream: &'a Stream,
    size: BlockSize,
    /// Down weight `(r, c)`, down bias, up weight `(c, r)`, up bias.
    adapter: [Part<'a>; 4],
    frozen: FrozenBlock<Part<'a>>,
    group_numbers: usize,
}

/// What the forward pass kept for the backward pass, a group of maps after another.
#[derive(Debug)]
pub struct Saved(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    /// Projections `(n, 3 co)` without their bias.
    qkv: Option<Scratch>,
    attended: Option<Attended>,
}

/// Gradients to add to.
#[derive(Clone, Copy)]
pub struct BlockGradients<'a> {
    pub x: Part<'a>,
    /// In the adapter's order.
    pub adapter: [Part<'a>; 4],
}

/// Adapter and projections of a group.
struct Projected {
    /// The adapter's output `(n, c)`.
    z: Scratch,
    /// `(n, 3 co)`.
    qkv: Scratch,
    /// The skip path's projection `(n, co)` before its pool, if the block pools.
    skip: Option<Scratch>,
}

impl<'a> Block<'a> {
    pub fn new(
        stream: &'a Stream,
        size: BlockSize,
        adapter: [Part<'a>; 4],
        frozen: &'a FrozenBlock<Arc<Numbers>>,
    ) -> Self {
        let pair = |[weight, bias]: &'a [Arc<Numbers>; 2]| [Part::from(weight), Part::from(bias)];
        let frozen = FrozenBlock {
            norm1: pair(&frozen.norm1),
            qkv: pair(&frozen.qkv),
            proj: pair(&frozen.proj),
            norm2: pair(&frozen.norm2),
            fc1: pair(&frozen.fc1),
            fc2: pair(&frozen.fc2),
            skip: frozen.skip.as_ref().map(pair),
        };
        Self { stream, size, adapter, frozen, group_numbers: GROUP_NUMBERS }
    }

    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch.
    pub fn forward(&self, x: Part<'_>, keep: Keep, y: Part<'_>) -> Result<Saved, CudaError> {
        let mut saved = Vec::new();
        for (first, maps) in self.groups() {
            let (x, y) = (self.tokens_in(x, first, maps), self.tokens_out(y, first, maps));
            let Projected { z, qkv, skip } = self.project(maps, x)?;
            let attended = self.attention(maps).forward(self.stream, (&qkv).into())?;
            // A pooling block's projections would be four times as long for its output.
            let keeps = keep != Keep::Input;
            let qkv = Some(qkv).filter(|_| keeps && !self.size.pool);
            let a = self.join(&attended, &z, skip.as_ref())?;
            let attended = Some(attended).filter(|_| keeps);
            drop((z, skip));
            saved.push(Kept { qkv, attended });
            self.mlp((&a).into(), y)?;
        }
        Ok(Saved(saved))
    }

    /// Adds to the gradients of the input and of the adapter.
    pub fn backward(
        &self,
        x: Part<'_>,
        saved: Saved,
        gy: Part<'_>,
        gradients: BlockGradients<'_>,
    ) -> Result<(), CudaError> {
        for ((first, maps), Kept { qkv, attended }) in self.groups().zip(saved.0) {
            let (x, gy) = (self.tokens_in(x, first, maps), self.tokens_out(gy, first, maps));
            let gx = self.tokens_in(gradients.x, first, maps);
            let Projected { z, qkv, skip } = match qkv {
                Some(qkv) => Projected { z: self.adapt(x)?, qkv, skip: None },
                None => self.project(maps, x)?,
            };
            let attention = self.attention(maps);
            let attended = match attended {
                Some(attended) => attended,
                None => attention.forward(self.stream, (&qkv).into())?,
            };
            let a = self.join(&attended, &z, skip.as_ref())?;
            let ga = self.mlp_backward((&a).into(), gy)?;
            drop(a);
            let gqkv = {
                let (co, go) = (self.size.out_channels, self.stream.uninit(ga.len())?);
                let extents = [ga.len() / co, co, co];
                linear_backward(self.stream, extents, (&ga).into(), self.frozen.proj[0], 0.0, (&go).into())?;
                attention.backward(self.stream, (&qkv).into(), &attended, (&go).into())?
            };
            drop((qkv, attended));
            let gz = self.project_backward(&z, skip, &ga, gqkv)?;
            drop((z, ga));
            self.adapter_backward(x, &gz, gx, gradients.adapter)?;
        }
        Ok(())
    }

    /// First map and number of maps of each group.
    fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let BlockSize { batch, side, out_channels, .. } = self.size;
        let maps = (self.group_numbers / (side * side * 4 * out_channels)).clamp(1, batch.max(1));
        (0..batch).step_by(maps).map(move |first| (first, maps.min(batch - first)))
    }

    /// A group's part of what has a row of `c` numbers for each token in.
    fn tokens_in<'p>(&self, all: Part<'p>, first: usize, maps: usize) -> Part<'p> {
        let map = self.size.side * self.size.side * self.size.channels;
        all.at(first * map, maps * map)
    }

    /// A group's part of what has a row of `co` numbers for each token out.
    fn tokens_out<'p>(&self, all: Part<'p>, first: usize, maps: usize) -> Part<'p> {
        let map = self.out_side() * self.out_side() * self.size.out_channels;
        all.at(first * map, maps * map)
    }

    fn out_side(&self) -> usize {
        if self.size.pool { self.size.side / 2 } else { self.size.side }
    }

    fn attention(&self, maps: usize) -> Attention<'a> {
        let s = &self.size;
        Attention {
            maps,
            side: s.side,
            window: s.window,
            heads: s.heads,
            dim: s.out_channels / s.heads,
            pool: s.pool,
            bias: self.frozen.qkv[1],
        }
    }

    /// Adapter, first norm, projections.
    fn project(&self, maps: usize, x: Part<'_>) -> Result<Projected, CudaError> {
        let (s, c, co) = (self.stream, self.size.channels, self.size.out_channels);
        let n = maps * self.size.side * self.size.side;
        let z = self.adapt(x)?;
        let normed = s.uninit(n * c)?;
        layer_norm(s, (&z).into(), self.frozen.norm1, (&normed).into())?;
        let qkv = s.uninit(n * 3 * co)?;
        linear(s, [n, c, 3 * co], (&normed).into(), self.frozen.qkv[0], 0.0, (&qkv).into())?;
        let skip = match &self.frozen.skip {
            Some([weight, _]) => {
                let skip = s.uninit(n * co)?;
                linear(s, [n, c, co], (&normed).into(), *weight, 0.0, (&skip).into())?;
                Some(skip)
            }
            None => None,
        };
        Ok(Projected { z, qkv, skip })
    }

    /// `z = x + gelu(up(gelu(down x)))`.
    fn adapt(&self, x: Part<'_>) -> Result<Scratch, CudaError> {
        let (s, c, r) = (self.stream, self.size.channels, self.size.hidden);
        let [down, down_bias, up, up_bias] = self.adapter;
        let n = x.len() / c;
        let (h, z) = (s.uninit(n * r)?, s.uninit(n * c)?);
        linear(s, [n, c, r], x, down, 0.0, (&h).into())?;
        bias_and(s, (&h).into(), down_bias, After::Gelu)?;
        linear(s, [n, r, c], (&h).into(), up, 0.0, (&z).into())?;
        bias_and(s, (&z).into(), up_bias, After::GeluAdd(x))?;
        Ok(z)
    }

    /// Attention's projection and the skip path: `(m, co)`.
    fn join(&self, attended: &Attended, z: &Scratch, skip: Option<&Scratch>) -> Result<Scratch, CudaError> {
        let (s, co) = (self.stream, self.size.out_channels);
        let [weight, bias] = self.frozen.proj;
        let out = Part::from(&attended.out);
        let a = s.uninit(out.len())?;
        linear(s, [out.len() / co, co, co], out, weight, 0.0, (&a).into())?;
        match (skip, &self.frozen.skip) {
            (Some(skip), Some([_, skip_bias])) => {
                bias_add_pooled(s, self.out_side(), (&a).into(), bias, skip.into(), *skip_bias)?;
            }
            _ => bias_and(s, (&a).into(), bias, After::Add(z.into()))?,
        }
        Ok(a)
    }

    /// `y = a + fc2(gelu(fc1(norm2 a)))`.
    fn mlp(&self, a: Part<'_>, y: Part<'_>) -> Result<(), CudaError> {
        let (s, co) = (self.stream, self.size.out_channels);
        let m = a.len() / co;
        let hidden = self.mlp_hidden(a)?;
        bias_and(s, (&hidden).into(), self.frozen.fc1[1], After::Gelu)?;
        linear(s, [m, 4 * co, co], (&hidden).into(), self.frozen.fc2[0], 0.0, y)?;
        bias_and(s, y, self.frozen.fc2[1], After::Add(a))
    }

    /// `fc1(norm2 a)` without its bias.
    fn mlp_hidden(&self, a: Part<'_>) -> Result<Scratch, CudaError> {
        let (s, co) = (self.stream, self.size.out_channels);
        let (normed, hidden) = (s.uninit(a.len())?, s.uninit(4 * a.len())?);
        layer_norm(s, a, self.frozen.norm2, (&normed).into())?;
        linear(s, [a.len() / co, co, 4 * co], (&normed).into(), self.frozen.fc1[0], 0.0, (&hidden).into())?;
        Ok(hidden)
    }

    /// The gradient of the attention's output with its skip, `(m, co)`.
    fn mlp_backward(&self, a: Part<'_>, gy: Part<'_>) -> Result<Scratch, CudaError> {
        let (s, co) = (self.stream, self.size.out_channels);
        let (m, hidden, g_hidden) = (a.len() / co, self.mlp_hidden(a)?, s.uninit(4 * a.len())?);
        linear_backward(s, [m, 4 * co, co], gy, self.frozen.fc2[0], 0.0, (&g_hidden).into())?;
        bias_gelu_backward(s, (&hidden).into(), self.frozen.fc1[1], (&g_hidden).into())?;
        drop(hidden);
        let ga = s.uninit(a.len())?;
        linear_backward(s, [m, co, 4 * co], (&g_hidden).into(), self.frozen.fc1[0], 0.0, (&ga).into())?;
        layer_norm_backward(s, a, self.frozen.norm2[0], (&ga).into(), Some(gy))?;
        Ok(ga)
    }

    /// Back through projections and first norm: the gradient of the adapter's output `(n, c)`.
    fn project_backward(
        &self,
        z: &Scratch,
        skip: Option<Scratch>,
        ga: &Scratch,
        gqkv: Scratch,
    ) -> Result<Scratch, CudaError> {
        let (s, c, co) = (self.stream, self.size.channels, self.size.out_channels);
        let n = z.len() / c;
        let gz = s.uninit(z.len())?;
        linear_backward(s, [n, c, 3 * co], (&gqkv).into(), self.frozen.qkv[0], 0.0, (&gz).into())?;
        drop(gqkv);
        let residual = match (&skip, &self.frozen.skip) {
            (Some(skip), Some([weight, bias])) => {
                pool_backward(s, self.out_side(), skip.into(), *bias, ga.into())?;
                linear_backward(s, [n, c, co], skip.into(), *weight, 1.0, (&gz).into())?;
                None
            }
            _ => Some(ga.into()),
        };
        layer_norm_backward(s, z.into(), self.frozen.norm1[0], (&gz).into(), residual)?;
        Ok(gz)
    }

    /// Back through the adapter; `gz`, the gradient of its output, becomes that of its second product.
    fn adapter_backward(
        &self,
        x: Part<'_>,
        gz: &Scratch,
        gx: Part<'_>,
        gradients: [Part<'_>; 4],
    ) -> Result<(), CudaError> {
        let (s, c, r) = (self.stream, self.size.channels, self.size.hidden);
        let [down, down_bias, up, up_bias] = self.adapter;
        let [g_down, g_down_bias, g_up, g_up_bias] = gradients;
        let (n, gu) = (x.len() / c, Part::from(gz));
        let (before, h, gh) = (s.uninit(n * r)?, s.uninit(n * r)?, s.uninit(n * r)?);
        linear(s, [n, c, r], x, down, 0.0, (&before).into())?;
        bias_gelu(s, (&before).into(), down_bias, (&h).into())?;
        add_columns(s, c, gu, [c, 0], gx)?;
        {
            let products = s.uninit(n * c)?;
            linear(s, [n, r, c], (&h).into(), up, 0.0, (&products).into())?;
            bias_gelu_backward(s, (&products).into(), up_bias, gu)?;
        }
        linear_backward(s, [n, r, c], gu, up, 0.0, (&gh).into())?;
        bias_gelu_backward(s, (&before).into(), down_bias, (&gh).into())?;
        linear_backward(s, [n, c, r], (&gh).into(), down, 1.0, gx)?;
        weight_gradient(s, [n, c, r], x, (&gh).into(), 1.0, g_down)?;
        add_column_sums(s, (&gh).into(), g_down_bias)?;
        weight_gradient(s, [n, r, c], (&h).into(), gu, 1.0, g_up)?;
        add_column_sums(s, gu, g_up_bias)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use super::*;
    use crate::nn::backend::{Memory, Precision};

    /// Output and gradients, with groups of at most this many numbers.
    fn run(device: &Cuda, group_numbers: usize, keep: Keep) -> Vec<Vec<f32>> {
        let (batch, side, c, r) = (3, 4, 8, 4);
        let size = BlockSize { batch, side, channels: c, out_channels: c, hidden: r, heads: 2, window: 2, pool: false };
        let mut seed = 1u32;
        let mut numbers = |n: usize| -> Vec<f32> {
            let mut draw = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..n).map(|_| draw()).collect()
        };
        let mut frozen = |out: usize, inputs: usize| {
            [vec![out, inputs], vec![out]]
                .map(|shape| device.freeze(numbers(shape.iter().product()), &shape, Precision::F32).unwrap())
        };
        let frozen = FrozenBlock {
            norm1: frozen(c, 1),
            qkv: frozen(3 * c, c),
            proj: frozen(c, c),
            norm2: frozen(c, 1),
            fc1: frozen(4 * c, c),
            fc2: frozen(c, 4 * c),
            skip: None,
        };
        let n = batch * side * side * c;
        let mut tensor = |n: usize| device.tensor_from_vec(numbers(n), (n,));
        let (x, gy, adapter) = (tensor(n), tensor(n), [r * c, r, c * r, c].map(&mut tensor));
        let zeros = |n: usize| device.tensor_from_vec(vec![0.0; n], (n,));
        let results = [n, n, r * c, r, c * r, c].map(zeros);
        let views = results.each_ref().map(|t| device.view(t));
        let [y, gx, adapter_gradients @ ..] = views.each_ref().map(Part::from);
        let inputs = adapter.each_ref().map(|t| device.view(t));
        let (x, gy, stream) = (device.view(&x), device.view(&gy), Stream::of(device).unwrap());
        let mut block = Block::new(&stream, size, inputs.each_ref().map(Part::from), &frozen);
        block.group_numbers = group_numbers;
        assert_eq!(block.groups().count(), if group_numbers == 1 { batch } else { 1 });
        let saved = block.forward((&x).into(), keep, y).unwrap();
        let gradients = BlockGradients { x: gx, adapter: adapter_gradients };
        block.backward((&x).into(), saved, (&gy).into(), gradients).unwrap();
        results.iter().map(|t| t.as_vec()).collect()
    }

    #[test]
    fn groups_of_maps_give_what_the_whole_batch_gives() {
        let Some(device) = tested_gpu() else {
            return;
        };
        for keep in [Keep::Input, Keep::Attention, Keep::Products] {
            for (whole, parts) in run(&device, GROUP_NUMBERS, keep).iter().zip(run(&device, 1, keep)) {
                let largest = whole.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                assert!(largest > 0.0);
                assert!(whole.iter().zip(parts).all(|(a, b)| (a - b).abs() <= 1e-5 * largest));
            }
        }
    }
}
