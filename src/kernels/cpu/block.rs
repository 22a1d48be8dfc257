//! An adapter and the frozen Hiera block behind it, forward and backward.
//!
//! Maps are NHWC. `n` counts tokens in, `m` tokens out (a quarter of `n` if the block pools), `c`
//! channels in and `co` out. Everything but attention works on rows of tokens and is done a few
//! hundred rows at a time, so that the wide hidden layers never exist for a whole map.

use super::FrozenWeight;
use super::attention::Attention;
use super::matmul::{Onto, Packed, Then, linear, linear_backward, linear_weight_backward};
use super::profile::{Kind, scope};
use super::scratch::Scratch;
use super::vector::layer_norm::{layer_norm, layer_norm_backward};
use super::vector::rows::{add_assign, gelu_backward, gelu_in_place, largest_of_four};
use crate::nn::ops::adapted_block::{BlockSize, FrozenBlock, Keep};
use rayon::prelude::*;
use std::sync::Arc;

/// Tokens worked on at once, at most: their widest rows stay in the second-level cache.
const MOST_ROWS: usize = 120;
/// Maps worked on together have about this many tokens: what bounds temporary memory.
const GROUP_TOKENS: usize = 4096;
/// Channels from which on an MLP's hidden layer is worth keeping: each of its numbers saves twice as many operations. It
/// is so in the last two stages.
const WORTH_KEEPING: usize = 320;

/// One block with its weights.
pub struct Block<'a> {
    size: BlockSize,
    /// Of the weight `(r, c)`.
    down: Packed,
    down_bias: &'a [f32],
    /// Of the weight `(c, r)`.
    up: Packed,
    up_bias: &'a [f32],
    frozen: &'a FrozenBlock<Arc<FrozenWeight>>,
}

/// What the weights are to gradients of their inputs.
struct Turned {
    down: Packed,
    up: Packed,
    qkv: Packed,
    proj: Packed,
    fc1: Packed,
    fc2: Packed,
    skip: Option<Packed>,
}

/// What the forward pass kept for the backward pass, group by group.
pub struct Saved(Vec<Kept>);

/// What it kept of maps worked on together.
struct Kept {
    /// Projections `(n, 3 co)`.
    qkv: Option<Vec<f32>>,
    /// Attention output with its skip `(m, co)`.
    a: Option<Vec<f32>>,
    /// The MLP's hidden layer before its GELU `(m, 4 co)`.
    hidden: Option<Vec<f32>>,
}

/// Gradients to add to.
pub struct BlockGradients<'a> {
    pub x: &'a mut [f32],
    pub adapter: [&'a mut [f32]; 4],
}

/// How many rows a task takes: an equal share for each thread, of at most [`MOST_ROWS`].
fn rows_per_task(rows: usize) -> usize {
    let threads = rayon::current_num_threads();
    let tasks = rows.div_ceil(MOST_ROWS).next_multiple_of(threads);
    rows.div_ceil(tasks).max(16)
}

/// Work between products, for the profile.
fn elementwise(work: impl FnOnce()) {
    let _work = scope(Kind::Norm, 0);
    work();
}

/// Pieces of what is there, or of nothing without an end.
fn pieces_mut(whole: Option<&mut [f32]>, length: usize) -> impl Iterator<Item = Option<&mut [f32]>> {
    let there = whole.is_some();
    let pieces = whole.unwrap_or_default().chunks_mut(length).map(Some);
    pieces.chain(std::iter::repeat_with(|| None).take(if there { 0 } else { usize::MAX }))
}

impl<'a> Block<'a> {
    /// `adapter`: down weight `(r, c)`, down bias, up weight `(c, r)`, up bias.
    pub fn new(size: BlockSize, adapter: [&'a [f32]; 4], frozen: &'a FrozenBlock<Arc<FrozenWeight>>) -> Self {
        let [down, down_bias, up, up_bias] = adapter;
        let precision = frozen.qkv[0].factor().precision();
        let down = Packed::from_columns(down, size.channels, precision);
        let up = Packed::from_columns(up, size.hidden, precision);
        Self { size, down, down_bias, up, up_bias, frozen }
    }

    fn turned(&self) -> Turned {
        let f = self.frozen;
        Turned {
            down: self.down.transposed(),
            up: self.up.transposed(),
            qkv: f.qkv[0].factor().transposed(),
            proj: f.proj[0].factor().transposed(),
            fc1: f.fc1[0].factor().transposed(),
            fc2: f.fc2[0].factor().transposed(),
            skip: f.skip.as_ref().map(|s| s[0].factor().transposed()),
        }
    }

    fn tokens_out(&self) -> usize {
        if self.size.pool { self.size.side * self.size.side / 4 } else { self.size.side * self.size.side }
    }

    /// How many maps are worked on together. It must not depend on the number of threads, as weight
    /// gradients are summed group by group.
    fn maps_per_group(&self) -> usize {
        (GROUP_TOKENS / (self.size.side * self.size.side)).clamp(1, self.size.batch)
    }

    fn attention(&self) -> Attention<'_> {
        let s = &self.size;
        Attention {
            side: s.side,
            window: s.window,
            heads: s.heads,
            dim: s.out_channels / s.heads,
            pool: s.pool,
            bias: self.frozen.qkv[1].numbers(),
            precision: self.frozen.qkv[0].factor().precision(),
        }
    }

    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch.
    pub fn forward(&self, x: &[f32], keep: Keep, y: &mut [f32]) -> Saved {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.size.side * self.size.side, maps * self.tokens_out());
        // A pooling block's projections are four times as long for their output.
        let projections = keep != Keep::Input && !self.size.pool;
        let hidden = keep == Keep::Products && co >= WORTH_KEEPING;
        let groups = x.chunks(n * c).zip(y.chunks_mut(m * co)).map(|(x, y)| {
            let (z, qkv, skip) = self.project(x);
            let a = self.attend(&z, &qkv, skip.as_deref());
            let mut hidden = hidden.then(|| vec![0.0; 4 * a.len()]);
            self.mlp(&a, hidden.as_deref_mut(), y);
            Kept { qkv: projections.then(|| qkv.into()), a: (keep != Keep::Input).then(|| a.into()), hidden }
        });
        Saved(groups.collect())
    }

    /// Adds to the gradients of the input and of the adapter.
    pub fn backward(&self, x: &[f32], saved: Saved, gy: &[f32], mut gradients: BlockGradients<'_>) {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.size.side * self.size.side, maps * self.tokens_out());
        let turned = self.turned();
        let groups = x.chunks(n * c).zip(gradients.x.chunks_mut(n * c)).zip(gy.chunks(m * co));
        for (((x, gx), gy), kept) in groups.zip(saved.0) {
            let (z, qkv, skip) = match kept.qkv {
                Some(qkv) => (self.adapt(x), qkv.into(), None),
                None => self.project(x),
            };
            let a = match kept.a {
                Some(a) => a.into(),
                None => self.attend(&z, &qkv, skip.as_deref()),
            };
            let (ga, go) = self.mlp_backward(&turned, &a, kept.hidden.as_deref(), gy);
            drop((a, kept.hidden));
            let mut gqkv = Scratch::shared(qkv.len());
            self.attention().backward(&qkv, &go, &mut gqkv);
            drop((qkv, go));
            let gz = self.project_backward(&turned, &z, skip, &ga, &gqkv);
            self.adapter_backward(&turned, x, gz, gx, &mut gradients.adapter);
        }
    }

    /// Adapter, first norm, projections: `z (n, c)`, `qkv (n, 3 co)` and, if the block pools, the skip
    /// path's projection `(n, co)` before its pool.
    fn project(&self, x: &[f32]) -> (Scratch, Scratch, Option<Scratch>) {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let n = x.len() / c;
        let (mut z, mut qkv) = (Scratch::shared(n * c), Scratch::shared(n * 3 * co));
        let mut skip = self.frozen.skip.as_ref().map(|_| Scratch::shared(n * co));
        let rows = rows_per_task(n);
        let skips = pieces_mut(skip.as_deref_mut(), rows * co);
        let tasks: Vec<_> =
            x.chunks(rows * c).zip(z.chunks_mut(rows * c)).zip(qkv.chunks_mut(rows * 3 * co)).zip(skips).collect();
        tasks.into_par_iter().for_each(|(((x, z), qkv), skip)| {
            let n = x.len() / c;
            let mut normed = Scratch::new(n * c);
            self.adapt_rows(x, z);
            self.first_norm(z, &mut normed);
            linear(&normed, self.frozen.qkv[0].factor(), self.frozen.qkv[1].numbers(), Then::Stop, qkv);
            if let (Some([weight, bias]), Some(skip)) = (&self.frozen.skip, skip) {
                linear(&normed, weight.factor(), bias.numbers(), Then::Stop, skip);
            }
        });
        (z, qkv, skip)
    }

    /// `z = x + gelu(up(gelu(down x)))`.
    fn adapt(&self, x: &[f32]) -> Scratch {
        let (mut z, length) =
            (Scratch::shared(x.len()), rows_per_task(x.len() / self.size.channels) * self.size.channels);
        x.par_chunks(length).zip(z.par_chunks_mut(length)).for_each(|(x, z)| self.adapt_rows(x, z));
        z
    }

    fn adapt_rows(&self, x: &[f32], z: &mut [f32]) {
        let mut h = Scratch::new(x.len() / self.size.channels * self.size.hidden);
        linear(x, &self.down, self.down_bias, Then::Gelu, &mut h);
        linear(&h, &self.up, self.up_bias, Then::GeluAdd(x), z);
    }

    fn first_norm(&self, z: &[f32], normed: &mut [f32]) {
        let _work = scope(Kind::Norm, 0);
        layer_norm(z, self.frozen.norm1[0].numbers(), self.frozen.norm1[1].numbers(), normed);
    }

    fn second_norm(&self, a: &[f32], normed: &mut [f32]) {
        let _work = scope(Kind::Norm, 0);
        layer_norm(a, self.frozen.norm2[0].numbers(), self.frozen.norm2[1].numbers(), normed);
    }

    /// Attention, its projection and the skip path: `(m, co)`.
    fn attend(&self, z: &[f32], qkv: &[f32], skip: Option<&[f32]>) -> Scratch {
        let co = self.size.out_channels;
        let attention = self.attention();
        let pooled = skip.map(|full| self.pool(full));
        let residual = pooled.as_deref().unwrap_or(z);
        let (mut a, mut o) = (Scratch::shared(residual.len()), Scratch::shared(residual.len()));
        attention.forward(qkv, &mut o);
        let (order, per_map) = (attention.query_order(), self.tokens_out());
        let side = if self.size.pool { self.size.side / 2 } else { self.size.side };
        let rows = rows_per_task(a.len() / co);
        a.par_chunks_mut(rows * co).zip(residual.par_chunks(rows * co)).enumerate().for_each(|(i, (a, residual))| {
            let mut gathered = Scratch::new(a.len());
            for (j, row) in gathered.chunks_exact_mut(co).enumerate() {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let o = &o[map * per_map * co..][..per_map * co];
                order.gather(o, 1, t / side, t % side, row);
            }
            let [weight, bias] = &self.frozen.proj;
            linear(&gathered, weight.factor(), bias.numbers(), Then::Add(residual), a);
        });
        a
    }

    /// `y = a + fc2(gelu(fc1(norm2 a)))`; what goes into the GELU is kept where it is asked for.
    fn mlp(&self, a: &[f32], kept: Option<&mut [f32]>, y: &mut [f32]) {
        let co = self.size.out_channels;
        let rows = rows_per_task(a.len() / co);
        let tasks: Vec<_> =
            a.chunks(rows * co).zip(y.chunks_mut(rows * co)).zip(pieces_mut(kept, 4 * rows * co)).collect();
        tasks.into_par_iter().for_each(|((a, y), kept)| {
            let (mut normed, mut hidden) = (Scratch::new(a.len()), Scratch::new(4 * a.len()));
            self.second_norm(a, &mut normed);
            let [fc1, fc2] = [&self.frozen.fc1, &self.frozen.fc2];
            match kept {
                None => linear(&normed, fc1[0].factor(), fc1[1].numbers(), Then::Gelu, &mut hidden),
                Some(kept) => {
                    linear(&normed, fc1[0].factor(), fc1[1].numbers(), Then::Stop, kept);
                    hidden.copy_from_slice(kept);
                    elementwise(|| gelu_in_place(&mut hidden));
                }
            }
            linear(&hidden, fc2[0].factor(), fc2[1].numbers(), Then::Add(a), y);
        });
    }

    /// Gradients of the attention output with its skip `(m, co)`, in the map's order, and of the attention
    /// output before its projection, in window order.
    fn mlp_backward(&self, turned: &Turned, a: &[f32], kept: Option<&[f32]>, gy: &[f32]) -> (Scratch, Scratch) {
        let co = self.size.out_channels;
        let rows = rows_per_task(a.len() / co);
        let (mut ga, mut go) = (Scratch::shared(a.len()), Scratch::shared(a.len()));
        let tasks: Vec<_> = a
            .chunks(rows * co)
            .zip(gy.chunks(rows * co))
            .zip(ga.chunks_mut(rows * co))
            .zip(go.chunks_mut(rows * co))
            .enumerate()
            .collect();
        tasks.into_par_iter().for_each(|(i, (((a, gy), ga), go))| {
            let mut made = Scratch::new(if kept.is_some() { 0 } else { 4 * a.len() });
            let hidden = match kept {
                Some(kept) => &kept[i * 4 * rows * co..][..4 * a.len()],
                None => {
                    let normed = &mut *go;
                    self.second_norm(a, normed);
                    let [fc1, bias] = &self.frozen.fc1;
                    linear(normed, fc1.factor(), bias.numbers(), Then::Stop, &mut made);
                    &*made
                }
            };
            let mut g_hidden = Scratch::new(4 * a.len());
            linear_backward(gy, &turned.fc2, Onto::Nothing, &mut g_hidden);
            elementwise(|| gelu_backward(hidden, &mut g_hidden));
            linear_backward(&g_hidden, &turned.fc1, Onto::Nothing, ga);
            elementwise(|| layer_norm_backward(a, self.frozen.norm2[0].numbers(), ga));
            add_assign(ga, gy);
            linear_backward(ga, &turned.proj, Onto::Nothing, go);
        });
        let go = self.to_window_order(&go);
        (ga, go)
    }

    /// Rows of the map's order, sorted by window, head and token.
    fn to_window_order(&self, rows: &[f32]) -> Scratch {
        let attention = self.attention();
        let (order, dim, width) = (attention.query_order(), attention.dim, self.size.out_channels);
        let side = if self.size.pool { self.size.side / 2 } else { self.size.side };
        let mut sorted = Scratch::shared(rows.len());
        let map_length = self.tokens_out() * width;
        rows.par_chunks(map_length).zip(sorted.par_chunks_mut(map_length)).for_each(|(rows, sorted)| {
            for (t, row) in rows.chunks_exact(width).enumerate() {
                for (start, part) in order.starts(1, t / side, t % side).zip(row.chunks_exact(dim)) {
                    sorted[start..start + dim].copy_from_slice(part);
                }
            }
        });
        sorted
    }

    /// Back through projections and first norm: the gradient of the adapter's output `(n, c)`. `skip` is the skip path's
    /// projection before its pool, if the block pools.
    fn project_backward(&self, turned: &Turned, z: &[f32], skip: Option<Scratch>, ga: &[f32], gqkv: &[f32]) -> Scratch {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let (n, side) = (z.len() / c, self.size.side);
        let (order, per_map) = (self.attention().key_order(), side * side);
        let rows = rows_per_task(n);
        let g_skip = skip.map(|full| self.pool_backward(full, ga));
        let mut gz = Scratch::shared(z.len());
        gz.par_chunks_mut(rows * c).zip(z.par_chunks(rows * c)).enumerate().for_each(|(i, (gz, z))| {
            let n = z.len() / c;
            let mut gathered = Scratch::new(n * 3 * co);
            for (j, row) in gathered.chunks_exact_mut(3 * co).enumerate() {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let gqkv = &gqkv[map * per_map * 3 * co..][..per_map * 3 * co];
                order.gather(gqkv, 3, t / side, t % side, row);
            }
            linear_backward(&gathered, &turned.qkv, Onto::Nothing, gz);
            if let (Some(weight), Some(g_skip)) = (&turned.skip, &g_skip) {
                linear_backward(&g_skip[i * rows * co..][..n * co], weight, Onto::Itself, gz);
            }
            elementwise(|| layer_norm_backward(z, self.frozen.norm1[0].numbers(), gz));
            if g_skip.is_none() {
                add_assign(gz, &ga[i * rows * c..][..n * c]);
            }
        });
        gz
    }

    /// Back through the adapter; `gz` is the gradient of its output.
    fn adapter_backward(
        &self,
        turned: &Turned,
        x: &[f32],
        gz: Scratch,
        gx: &mut [f32],
        gradients: &mut [&mut [f32]; 4],
    ) {
        let (c, r) = (self.size.channels, self.size.hidden);
        let n = x.len() / c;
        let (mut gu, mut h, mut gh) = (gz, Scratch::shared(n * r), Scratch::shared(n * r));
        let rows = rows_per_task(n);
        let tasks: Vec<_> = x
            .chunks(rows * c)
            .zip(gx.chunks_mut(rows * c))
            .zip(gu.chunks_mut(rows * c))
            .zip(h.chunks_mut(rows * r))
            .zip(gh.chunks_mut(rows * r))
            .collect();
        tasks.into_par_iter().for_each(|((((x, gx), gu), h), gh)| {
            let n = x.len() / c;
            let (mut down, mut up) = (Scratch::new(n * r), Scratch::new(n * c));
            linear(x, &self.down, self.down_bias, Then::Stop, &mut down);
            h.copy_from_slice(&down);
            elementwise(|| gelu_in_place(h));
            linear(h, &self.up, self.up_bias, Then::Stop, &mut up);
            add_assign(gx, gu);
            elementwise(|| gelu_backward(&up, gu));
            linear_backward(gu, &turned.up, Onto::Nothing, gh);
            elementwise(|| gelu_backward(&down, gh));
            linear_backward(gh, &turned.down, Onto::Itself, gx);
        });
        let [down_w, down_b, up_w, up_b] = gradients;
        linear_weight_backward(x, &gh, down_w, down_b);
        linear_weight_backward(&h, &gu, up_w, up_b);
    }

    /// 2x2 max pool of `(n, co)` maps of side `side`.
    fn pool(&self, full: &[f32]) -> Scratch {
        let (co, side) = (self.size.out_channels, self.size.side);
        let mut y = Scratch::shared(full.len() / 4);
        // Rows of all maps, one under another: `side` is even, so a pair of rows never straddles two maps.
        y.par_chunks_mut(side / 2 * co).zip(full.par_chunks(2 * side * co)).for_each(|(y, full)| {
            let (top, bottom) = full.split_at(side * co);
            let mut which = vec![0; co];
            for ((y, top), bottom) in
                y.chunks_exact_mut(co).zip(top.chunks_exact(2 * co)).zip(bottom.chunks_exact(2 * co))
            {
                largest_of_four([&top[..co], &top[co..], &bottom[..co], &bottom[co..]], y, &mut which);
            }
        });
        y
    }

    /// The gradient of [`pool`](Self::pool), in the place of its input.
    fn pool_backward(&self, mut full: Scratch, gy: &[f32]) -> Scratch {
        let (co, side) = (self.size.out_channels, self.size.side);
        full.par_chunks_mut(2 * side * co).zip(gy.par_chunks(side / 2 * co)).for_each(|(full, gy)| {
            let (top, bottom) = full.split_at_mut(side * co);
            let (mut largest, mut which) = (vec![0.0; co], vec![0; co]);
            let pairs = top.chunks_exact_mut(2 * co).zip(bottom.chunks_exact_mut(2 * co));
            for (gy, (top, bottom)) in gy.chunks_exact(co).zip(pairs) {
                largest_of_four([&top[..co], &top[co..], &bottom[..co], &bottom[co..]], &mut largest, &mut which);
                top.fill(0.0);
                bottom.fill(0.0);
                for (ch, (g, which)) in gy.iter().zip(&which).enumerate() {
                    let row = if *which < 2 { &mut *top } else { &mut *bottom };
                    row[*which as usize % 2 * co + ch] = *g;
                }
            }
        });
        full
    }
}
