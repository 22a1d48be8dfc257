//! An adapter and the frozen Hiera block behind it, forward and backward.
//!
//! Maps are NHWC. `n` counts tokens in, `m` tokens out (a quarter of `n` if the block pools), `c`
//! channels in and `co` out. Everything but attention works on rows of tokens and is done a few
//! hundred rows at a time, so that the wide hidden layers never exist for a whole map.

use super::attention::Attention;
use super::matmul::{Write, linear, linear_backward, linear_weight_backward};
use super::vector::{add_assign, add_gelu, gelu_backward, gelu_in_place, layer_norm, layer_norm_backward};
use crate::nn::ops::adapted_block::{BlockSize, FrozenBlock, Keep};
use rayon::prelude::*;
use std::sync::Arc;

/// Tokens worked on at once, at most: their widest rows stay in the second-level cache.
const MOST_ROWS: usize = 256;
/// Maps worked on together have about this many tokens: what bounds temporary memory.
const GROUP_TOKENS: usize = 4096;

/// One block with its weights.
pub struct Block<'a> {
    pub size: BlockSize,
    /// Down weight `(r, c)`, down bias, up weight `(c, r)`, up bias.
    pub adapter: [&'a [f32]; 4],
    pub frozen: &'a FrozenBlock<Arc<[f32]>>,
}

/// What the forward pass kept for the backward pass, whole batch.
#[derive(Default)]
pub struct Saved {
    /// Adapter output `(n, c)`, projections `(n, 3 co)` and attention output with its skip `(m, co)`.
    kept: Option<[Vec<f32>; 3]>,
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

impl Block<'_> {
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
            bias: &self.frozen.qkv[1],
        }
    }

    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch.
    pub fn forward(&self, x: &[f32], keep: Keep, y: &mut [f32]) -> Saved {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.size.side * self.size.side, maps * self.tokens_out());
        let mut kept =
            (keep == Keep::Attention).then(|| [x.len(), x.len() / c * 3 * co, y.len()].map(Vec::with_capacity));
        for (x, y) in x.chunks(n * c).zip(y.chunks_mut(m * co)) {
            let (z, qkv, skip) = self.project(x);
            let a = self.attend(&z, &qkv, skip);
            self.mlp(&a, y);
            if let Some(kept) = &mut kept {
                kept.iter_mut().zip([z, qkv, a]).for_each(|(all, part)| all.extend_from_slice(&part));
            }
        }
        Saved { kept }
    }

    /// Adds to the gradients of the input and of the adapter.
    pub fn backward(&self, x: &[f32], saved: Saved, gy: &[f32], mut gradients: BlockGradients<'_>) {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.size.side * self.size.side, maps * self.tokens_out());
        for (i, ((x, gx), gy)) in x.chunks(n * c).zip(gradients.x.chunks_mut(n * c)).zip(gy.chunks(m * co)).enumerate()
        {
            let (n_here, m_here) = (x.len() / c, gy.len() / co);
            let recomputed;
            let (z, qkv, a): (&[f32], &[f32], &[f32]) = match &saved.kept {
                Some([z, qkv, a]) => (
                    &z[i * n * c..][..n_here * c],
                    &qkv[i * n * 3 * co..][..n_here * 3 * co],
                    &a[i * m * co..][..m_here * co],
                ),
                None => {
                    let (z, qkv, skip) = self.project(x);
                    let a = self.attend(&z, &qkv, skip);
                    recomputed = (z, qkv, a);
                    (&recomputed.0, &recomputed.1, &recomputed.2)
                }
            };
            let (ga, go) = self.mlp_backward(a, gy);
            let mut gqkv = vec![0.0; qkv.len()];
            self.attention().backward(qkv, &go, &mut gqkv);
            let gz = self.project_backward(z, &ga, &gqkv);
            self.adapter_backward(x, gz, gx, &mut gradients.adapter);
        }
    }

    /// Adapter, first norm, projections: `z (n, c)`, `qkv (n, 3 co)` and, if the block pools, the skip
    /// path's projection `(n, co)` before its pool.
    fn project(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>, Option<Vec<f32>>) {
        let (c, co, r) = (self.size.channels, self.size.out_channels, self.size.hidden);
        let n = x.len() / c;
        let (mut z, mut qkv) = (vec![0.0; n * c], vec![0.0; n * 3 * co]);
        let mut skip = self.frozen.skip.as_ref().map(|_| vec![0.0; n * co]);
        let rows = rows_per_task(n);
        let no_skip: &mut [f32] = &mut [];
        let skips: Vec<&mut [f32]> = match &mut skip {
            Some(skip) => skip.chunks_mut(rows * co).collect(),
            None => std::iter::once(no_skip).collect(),
        };
        let skips = skips.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let tasks: Vec<_> =
            x.chunks(rows * c).zip(z.chunks_mut(rows * c)).zip(qkv.chunks_mut(rows * 3 * co)).zip(skips).collect();
        tasks.into_par_iter().for_each(|(((x, z), qkv), skip)| {
            let n = x.len() / c;
            let (mut h, mut u) = (vec![0.0; n * r], vec![0.0; n * c]);
            linear(x, self.adapter[0], self.adapter[1], &mut h);
            gelu_in_place(&mut h);
            linear(&h, self.adapter[2], self.adapter[3], &mut u);
            add_gelu(x, &u, z);
            let normed = &mut u;
            layer_norm(z, &self.frozen.norm1[0], &self.frozen.norm1[1], normed);
            linear(normed, &self.frozen.qkv[0], &self.frozen.qkv[1], qkv);
            if let (Some(weights), Some(skip)) = (&self.frozen.skip, skip) {
                linear(normed, &weights[0], &weights[1], skip);
            }
        });
        (z, qkv, skip)
    }

    /// Attention, its projection and the skip path: `(m, co)`.
    fn attend(&self, z: &[f32], qkv: &[f32], skip: Option<Vec<f32>>) -> Vec<f32> {
        let co = self.size.out_channels;
        let attention = self.attention();
        let mut a = match skip {
            Some(full) => self.pool(&full),
            None => z.to_vec(),
        };
        let mut o = vec![0.0; a.len()];
        attention.forward(qkv, &mut o);
        let (order, per_map) = (attention.query_order(), self.tokens_out());
        let side = if self.size.pool { self.size.side / 2 } else { self.size.side };
        let rows = rows_per_task(a.len() / co);
        a.par_chunks_mut(rows * co).enumerate().for_each(|(i, a)| {
            let mut gathered = vec![0.0; a.len()];
            for (j, row) in gathered.chunks_exact_mut(co).enumerate() {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let o = &o[map * per_map * co..][..per_map * co];
                order.gather(o, 1, t / side, t % side, row);
            }
            let mut projected = vec![0.0; a.len()];
            linear(&gathered, &self.frozen.proj[0], &self.frozen.proj[1], &mut projected);
            add_assign(a, &projected);
        });
        a
    }

    /// `y = a + fc2(gelu(fc1(norm2 a)))`.
    fn mlp(&self, a: &[f32], y: &mut [f32]) {
        let co = self.size.out_channels;
        let rows = rows_per_task(a.len() / co);
        a.par_chunks(rows * co).zip(y.par_chunks_mut(rows * co)).for_each(|(a, y)| {
            let (mut normed, mut hidden) = (vec![0.0; a.len()], vec![0.0; 4 * a.len()]);
            layer_norm(a, &self.frozen.norm2[0], &self.frozen.norm2[1], &mut normed);
            linear(&normed, &self.frozen.fc1[0], &self.frozen.fc1[1], &mut hidden);
            gelu_in_place(&mut hidden);
            linear(&hidden, &self.frozen.fc2[0], &self.frozen.fc2[1], y);
            add_assign(y, a);
        });
    }

    /// Gradients of the attention output with its skip `(m, co)`, in the map's order, and of the attention
    /// output before its projection, in window order.
    fn mlp_backward(&self, a: &[f32], gy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let co = self.size.out_channels;
        let rows = rows_per_task(a.len() / co);
        let (mut ga, mut go) = (vec![0.0; a.len()], vec![0.0; a.len()]);
        let tasks: Vec<_> = a
            .chunks(rows * co)
            .zip(gy.chunks(rows * co))
            .zip(ga.chunks_mut(rows * co))
            .zip(go.chunks_mut(rows * co))
            .collect();
        tasks.into_par_iter().for_each(|(((a, gy), ga), go)| {
            let (mut hidden, mut g_hidden) = (vec![0.0; 4 * a.len()], vec![0.0; 4 * a.len()]);
            let normed = &mut *go;
            layer_norm(a, &self.frozen.norm2[0], &self.frozen.norm2[1], normed);
            linear(normed, &self.frozen.fc1[0], &self.frozen.fc1[1], &mut hidden);
            linear_backward(gy, &self.frozen.fc2[0], 4 * co, Write::Set, &mut g_hidden);
            gelu_backward(&hidden, &mut g_hidden);
            linear_backward(&g_hidden, &self.frozen.fc1[0], co, Write::Set, ga);
            layer_norm_backward(a, &self.frozen.norm2[0], ga);
            add_assign(ga, gy);
            linear_backward(ga, &self.frozen.proj[0], co, Write::Set, go);
        });
        let go = self.to_window_order(&go);
        (ga, go)
    }

    /// Rows of the map's order, sorted by window, head and token.
    fn to_window_order(&self, rows: &[f32]) -> Vec<f32> {
        let attention = self.attention();
        let (order, dim, width) = (attention.query_order(), attention.dim, self.size.out_channels);
        let side = if self.size.pool { self.size.side / 2 } else { self.size.side };
        let mut sorted = vec![0.0; rows.len()];
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

    /// Back through projections and first norm: the gradient of the adapter's output `(n, c)`.
    fn project_backward(&self, z: &[f32], ga: &[f32], gqkv: &[f32]) -> Vec<f32> {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let (n, side) = (z.len() / c, self.size.side);
        let (order, per_map) = (self.attention().key_order(), side * side);
        let rows = rows_per_task(n);
        let g_skip = self.frozen.skip.as_ref().map(|weights| {
            let mut full = vec![0.0; n * co];
            full.par_chunks_mut(rows * co).zip(z.par_chunks(rows * c)).for_each(|(full, z)| {
                let mut normed = vec![0.0; z.len()];
                layer_norm(z, &self.frozen.norm1[0], &self.frozen.norm1[1], &mut normed);
                linear(&normed, &weights[0], &weights[1], full);
            });
            self.pool_backward(full, ga)
        });
        let mut gz = vec![0.0; z.len()];
        gz.par_chunks_mut(rows * c).zip(z.par_chunks(rows * c)).enumerate().for_each(|(i, (gz, z))| {
            let n = z.len() / c;
            let mut gathered = vec![0.0; n * 3 * co];
            for (j, row) in gathered.chunks_exact_mut(3 * co).enumerate() {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let gqkv = &gqkv[map * per_map * 3 * co..][..per_map * 3 * co];
                order.gather(gqkv, 3, t / side, t % side, row);
            }
            linear_backward(&gathered, &self.frozen.qkv[0], c, Write::Set, gz);
            if let (Some(weights), Some(g_skip)) = (&self.frozen.skip, &g_skip) {
                linear_backward(&g_skip[i * rows * co..][..n * co], &weights[0], c, Write::Add, gz);
            }
            layer_norm_backward(z, &self.frozen.norm1[0], gz);
            if g_skip.is_none() {
                add_assign(gz, &ga[i * rows * c..][..n * c]);
            }
        });
        gz
    }

    /// Back through the adapter; `gz` is the gradient of its output.
    fn adapter_backward(&self, x: &[f32], gz: Vec<f32>, gx: &mut [f32], gradients: &mut [&mut [f32]; 4]) {
        let (c, r) = (self.size.channels, self.size.hidden);
        let n = x.len() / c;
        let (mut gu, mut h, mut gh) = (gz, vec![0.0; n * r], vec![0.0; n * r]);
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
            let (mut down, mut up) = (vec![0.0; n * r], vec![0.0; n * c]);
            linear(x, self.adapter[0], self.adapter[1], &mut down);
            h.copy_from_slice(&down);
            gelu_in_place(h);
            linear(h, self.adapter[2], self.adapter[3], &mut up);
            add_assign(gx, gu);
            gelu_backward(&up, gu);
            linear_backward(gu, self.adapter[2], r, Write::Set, gh);
            gelu_backward(&down, gh);
            linear_backward(gh, self.adapter[0], c, Write::Add, gx);
        });
        let [down_w, down_b, up_w, up_b] = gradients;
        linear_weight_backward(x, &gh, down_w, down_b);
        linear_weight_backward(&h, &gu, up_w, up_b);
    }

    /// 2x2 max pool of `(n, co)` maps of side `side`.
    fn pool(&self, full: &[f32]) -> Vec<f32> {
        let (co, side) = (self.size.out_channels, self.size.side);
        let mut y = vec![0.0; full.len() / 4];
        // Rows of all maps, one under another: `side` is even, so a pair of rows never straddles two maps.
        y.par_chunks_mut(side / 2 * co).zip(full.par_chunks(2 * side * co)).for_each(|(y, full)| {
            for (x, y) in y.chunks_exact_mut(co).enumerate() {
                for (ch, y) in y.iter_mut().enumerate() {
                    *y = full[largest(full, side, co, x, ch)];
                }
            }
        });
        y
    }

    /// The gradient of [`pool`](Self::pool), in the place of its input.
    fn pool_backward(&self, mut full: Vec<f32>, gy: &[f32]) -> Vec<f32> {
        let (co, side) = (self.size.out_channels, self.size.side);
        full.par_chunks_mut(2 * side * co).zip(gy.par_chunks(side / 2 * co)).for_each(|(full, gy)| {
            let mut g = vec![0.0; full.len()];
            for (x, gy) in gy.chunks_exact(co).enumerate() {
                for (ch, gy) in gy.iter().enumerate() {
                    g[largest(full, side, co, x, ch)] = *gy;
                }
            }
            full.copy_from_slice(&g);
        });
        full
    }
}

/// Index of the largest of four neighbours in two rows of a map; among equals the first, and a NaN wins.
fn largest(rows: &[f32], side: usize, channels: usize, x: usize, channel: usize) -> usize {
    let at = |i: usize, j: usize| (i * side + 2 * x + j) * channels + channel;
    let mut best = at(0, 0);
    for next in [at(0, 1), at(1, 0), at(1, 1)] {
        if !(rows[next] <= rows[best] || rows[best].is_nan()) {
            best = next;
        }
    }
    best
}
