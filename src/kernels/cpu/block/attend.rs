//! From the adapter's output to the attention's output with its skip: norm, projections, attention, pooling.

use super::state::{Block, TransposedWeights, elementwise, pieces_mut, rows_per_task, tiled_layer_norm};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue};
use crate::kernels::cpu::gemm::linear::{linear, linear_backward};
use crate::kernels::cpu::gemm::tiled::{TiledRows, tiled_linear};
use crate::kernels::cpu::vector::layer_norm::layer_norm_backward;
use crate::kernels::cpu::vector::rows::{add_assign, largest_of_four};
use rayon::prelude::*;

impl Block<'_> {
    /// Adapter, first norm, projections: `z (n, c)`, `qkv (n, 3 co)` and, if the block pools, the skip
    /// path's projection `(n, co)` before its pool.
    pub(super) fn project(&self, x: &[f32]) -> (Buffer, Buffer, Option<Buffer>) {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let n = x.len() / c;
        let (mut z, mut qkv) = (Buffer::shared(n * c), Buffer::shared(n * 3 * co));
        let mut skip = self.frozen.skip.as_ref().map(|_| Buffer::shared(n * co));
        let rows = self.forward_rows(n);
        let skips = pieces_mut(skip.as_deref_mut(), rows * co);
        let tasks: Vec<_> =
            x.chunks(rows * c).zip(z.chunks_mut(rows * c)).zip(qkv.chunks_mut(rows * 3 * co)).zip(skips).collect();
        tasks.into_par_iter().for_each(|(((x, z), qkv), skip)| {
            let n = x.len() / c;
            self.adapt_rows(x, z);
            let [weight, bias] = &self.frozen.qkv;
            if weight.packed().takes_tiles() {
                let normed = tiled_layer_norm(z, &self.frozen.norm1);
                tiled_linear(&normed, weight.packed(), bias.values(), Epilogue::None, qkv);
                if let (Some([weight, bias]), Some(skip)) = (&self.frozen.skip, skip) {
                    tiled_linear(&normed, weight.packed(), bias.values(), Epilogue::None, skip);
                }
                return;
            }
            let mut normed = Buffer::new(n * c);
            self.first_norm(z, &mut normed);
            linear(&normed, weight.packed(), bias.values(), Epilogue::None, qkv);
            if let (Some([weight, bias]), Some(skip)) = (&self.frozen.skip, skip) {
                linear(&normed, weight.packed(), bias.values(), Epilogue::None, skip);
            }
        });
        (z, qkv, skip)
    }

    /// Backward pass of projections and first norm: the gradient of the adapter's output `(n, c)`. `skip` is the skip path's
    /// projection before its pool, if the block pools.
    pub(super) fn project_backward(
        &self,
        transposed: &TransposedWeights,
        z: &[f32],
        skip: Option<Buffer>,
        ga: &[f32],
        gqkv: &[f32],
    ) -> Buffer {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let (n, width) = (z.len() / c, self.size.map.width);
        let (order, per_map) = (self.attention().shape.key_order(), self.tokens());
        let rows = rows_per_task(n);
        let g_skip = skip.map(|full| self.pool_backward(full, ga));
        let mut gz = Buffer::shared(z.len());
        gz.par_chunks_mut(rows * c).zip(z.par_chunks(rows * c)).enumerate().for_each(|(i, (gz, z))| {
            let n = z.len() / c;
            let mut gathered = Buffer::new(n * 3 * co);
            for (j, row) in gathered.chunks_exact_mut(3 * co).enumerate() {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let gqkv = &gqkv[map * per_map * 3 * co..][..per_map * 3 * co];
                order.gather(gqkv, 3, t / width, t % width, row);
            }
            linear_backward(&gathered, &transposed.qkv, Accumulate::Overwrite, gz);
            if let (Some(weight), Some(g_skip)) = (&transposed.skip, &g_skip) {
                linear_backward(&g_skip[i * rows * co..][..n * co], weight, Accumulate::Add, gz);
            }
            elementwise(|| layer_norm_backward(z, self.frozen.norm1[0].values(), gz));
            if g_skip.is_none() {
                add_assign(gz, &ga[i * rows * c..][..n * c]);
            }
        });
        gz
    }

    /// Attention, its projection and the skip path: `(m, co)`. Where `y` is asked for, the MLP follows in the same tasks.
    pub(super) fn attend(&self, z: &[f32], qkv: &[f32], skip: Option<&[f32]>, y: Option<&mut [f32]>) -> Buffer {
        let co = self.size.out_channels;
        let attention = self.attention();
        let pooled = skip.map(|full| self.pool(full));
        let residual = pooled.as_deref().unwrap_or(z);
        let (mut a, mut o) = (Buffer::shared(residual.len()), Buffer::shared(residual.len()));
        attention.forward(qkv, &mut o);
        let (order, per_map) = (attention.shape.query_order(), self.tokens_out());
        let width_out = self.extent_out().width;
        let rows = self.forward_rows(a.len() / co);
        let tasks = a.chunks_mut(rows * co).zip(residual.chunks(rows * co)).zip(pieces_mut(y, rows * co));
        let tasks: Vec<_> = tasks.enumerate().collect();
        tasks.into_par_iter().for_each(|(i, ((a, residual), y))| {
            let gather = |j: usize, row: &mut [f32]| {
                let (map, t) = ((i * rows + j) / per_map, (i * rows + j) % per_map);
                let o = &o[map * per_map * co..][..per_map * co];
                order.gather(o, 1, t / width_out, t % width_out, row);
            };
            let [weight, bias] = &self.frozen.proj;
            if weight.packed().takes_tiles() {
                let (mut tiles, mut row) = (TiledRows::new(a.len() / co, co), Buffer::new(co));
                for j in 0..a.len() / co {
                    gather(j, &mut row);
                    tiles.set(j, &row);
                }
                tiled_linear(&tiles, weight.packed(), bias.values(), Epilogue::Add(residual), a);
            } else {
                let mut gathered = Buffer::new(a.len());
                gathered.chunks_exact_mut(co).enumerate().for_each(|(j, row)| gather(j, row));
                linear(&gathered, weight.packed(), bias.values(), Epilogue::Add(residual), a);
            }
            if let Some(y) = y {
                self.mlp_rows(a, None, y);
            }
        });
        a
    }

    /// Sorts rows in the map's order by window, head and token.
    pub(super) fn to_window_order(&self, rows: &[f32]) -> Buffer {
        let attention = self.attention();
        let (order, dim, co) = (attention.shape.query_order(), attention.shape.dim, self.size.out_channels);
        let width_out = self.extent_out().width;
        let mut sorted = Buffer::shared(rows.len());
        let map_length = self.tokens_out() * co;
        rows.par_chunks(map_length).zip(sorted.par_chunks_mut(map_length)).for_each(|(rows, sorted)| {
            for (t, row) in rows.chunks_exact(co).enumerate() {
                for (start, part) in order.starts(1, t / width_out, t % width_out).zip(row.chunks_exact(dim)) {
                    sorted[start..start + dim].copy_from_slice(part);
                }
            }
        });
        sorted
    }

    /// 2x2 max pool of maps `(n, co)`, of even height and width.
    fn pool(&self, full: &[f32]) -> Buffer {
        let (co, width) = (self.size.out_channels, self.size.map.width);
        let mut y = Buffer::shared(full.len() / 4);
        // Lines of all maps, one below the other: the height is even, so a pair of lines never straddles two maps.
        y.par_chunks_mut(width / 2 * co).zip(full.par_chunks(2 * width * co)).for_each(|(y, full)| {
            let (top, bottom) = full.split_at(width * co);
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
    fn pool_backward(&self, mut full: Buffer, gy: &[f32]) -> Buffer {
        let (co, width) = (self.size.out_channels, self.size.map.width);
        full.par_chunks_mut(2 * width * co).zip(gy.par_chunks(width / 2 * co)).for_each(|(full, gy)| {
            let (top, bottom) = full.split_at_mut(width * co);
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
