//! Multi-head attention inside of windows, whose scores are never stored beyond a few query rows.
//!
//! Over whole maps queries, keys and values come as rows of `3 * heads * dim` numbers per token, in the map's order. Results are sorted by
//! window, then head, then token ("window order"), so that every window and head writes its own stretch of memory;
//! [`WindowOrder`](super::shape::WindowOrder) reads a token's row back.

use super::gather::{Gathered, Queries};
use super::shape::{AttentionShape, Piece};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue, product, rows_of, transposed_product};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::tiled::{HalfPart, HalfRows, TiledRows, tiled_product};
use crate::kernels::cpu::vector::bf16::round_bf16_in_place;
use crate::kernels::cpu::vector::rows::scale_row;
use crate::kernels::cpu::vector::softmax::{softmax_backward_row, softmax_exp_row};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{Kind, scope};
use rayon::prelude::*;
use std::ops::Range;

/// Query rows worked on at once: what bounds the scores held in memory.
const QUERY_ROWS: usize = 128;

/// Attention over a batch of maps, forward and backward.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Its sizes.
    pub shape: AttentionShape,
    /// Bias of the query, key and value projection: what a padded token's row is.
    pub bias: &'a [f32],
    /// Precision of the products. Softmax and its gradient are single precision; with products of tiles (AMX) its numerators are within
    /// 1e-4, before they are rounded.
    pub precision: Precision,
}

/// Packed right operands, whose memory is reused by successive tasks.
pub struct Operands {
    keys: Packed,
    keys_by_row: Packed,
    values: Packed,
    queries: Packed,
    gradients: Packed,
}

impl Operands {
    /// Empty ones.
    pub fn new(precision: Precision) -> Self {
        let [keys, keys_by_row, values, queries, gradients] = [(); 5].map(|()| Packed::empty(precision));
        Self { keys, keys_by_row, values, queries, gradients }
    }

    /// Whether the packed keys and values meet left operands in bf16.
    fn take_tiles(&self) -> bool {
        self.keys.takes_tiles() && self.values.takes_tiles()
    }

    /// `softmax(q k^T factor) v` of a window and head with keys and values packed, on rows of bf16 numbers. The last key counts `last`
    /// times: its score begins with what makes its exponential so many times as large. `put` is given each query's number, the sum
    /// of the values times their exponentials, and the inverse of the exponentials' sum.
    fn forward_tiles(
        &self,
        queries: HalfPart<'_>,
        keys: usize,
        factor: f32,
        last: f32,
        mut put: impl FnMut(usize, &[f32], f32),
    ) {
        let (stride, width) = (self.keys.columns(), self.values.columns());
        let mut start = Buffer::zeros(stride);
        start[keys - 1] = last.ln() / factor;
        // keys that are not there
        start[keys..].fill(f32::NEG_INFINITY);
        let rows = QUERY_ROWS.min(queries.rows());
        let [mut scores, mut means, mut sums] = [stride, width, 1].map(|numbers| Buffer::new(rows * numbers));
        for (i, q) in queries.chunks(rows).enumerate() {
            let n = q.rows();
            let (scores, means, sums) = (&mut scores[..n * stride], &mut means[..n * width], &mut sums[..n]);
            tiled_product(q, &self.keys, Accumulate::Bias(&start), Epilogue::None, scores);
            let mut weights = TiledRows::new(n, keys);
            weights.set_softmax(scores, factor, sums);
            tiled_product(&weights, &self.values, Accumulate::Overwrite, Epilogue::None, means);
            for (j, (mean, sum)) in means.chunks_exact(width).zip(sums).enumerate() {
                put(i * rows + j, mean, *sum);
            }
        }
    }
}

/// Rows of `stride` numbers each as the left operand of a product with `right`, rounded in their own place if the product is
/// in bf16. Only the lanes of each row's first `count` numbers are used.
fn left_in_place<'r>(rows: &'r mut [f32], stride: usize, right: &Packed, count: usize) -> Vec<&'r [f32]> {
    if right.precision() == Precision::Bf16 {
        rows.chunks_exact_mut(stride).for_each(round_bf16_in_place);
    }
    rows.chunks_exact(stride).map(|row| &row[..right.lanes_in(count)]).collect()
}

impl Attention<'_> {
    /// `softmax(q k^T / sqrt(dim)) v`: from rows of all maps to `out` in window order of the queries.
    pub fn forward(&self, qkv: &[f32], out: &mut [f32]) {
        let (d, factor) = (self.shape.dim, 1.0 / (self.shape.dim as f32).sqrt());
        let pieces = self.shape.pieces(self.shape.query_windows(), out, d);
        pieces.into_par_iter().for_each_init(
            || Operands::new(self.precision),
            |operands, Piece { image, window, head, data: out }| {
                let g = Gathered::new(&self.shape, self.bias, qkv, [image, window, head]);
                let (keys, queries) = (g.keys.len(), g.query_rows(d));
                let _work = scope(Kind::Attention, 4 * queries.len() * keys * d);
                operands.keys.set_columns(d, &g.keys);
                operands.values.set_rows(keys, d, |p| g.values[p]);
                let (stride, width) = (operands.keys.pad_columns(), operands.values.pad_columns());
                if operands.take_tiles() && d.is_multiple_of(2) {
                    let mut rounded = HalfRows::new(queries.len(), d);
                    queries.iter().enumerate().for_each(|(i, row)| rounded.set(i, 0, row));
                    let queries = rounded.part(0..queries.len(), 0..d);
                    return operands.forward_tiles(queries, keys, factor, g.last, |i, mean, sum| {
                        scale_row(mean, sum, &mut out[i * d..][..d]);
                    });
                }
                let rows = QUERY_ROWS.min(queries.len());
                let (mut rounded, mut sums) = (Buffer::default(), Vec::with_capacity(rows));
                let (mut scores, mut means) = (Buffer::new(rows * stride), Buffer::new(rows * width));
                let queries = operands.keys.left_rows(&queries, &mut rounded);
                for (q, out) in queries.chunks(rows).zip(out.chunks_mut(rows * d)) {
                    let (scores, means) = (&mut scores[..q.len() * stride], &mut means[..q.len() * width]);
                    product(q, &operands.keys, 0, Accumulate::Overwrite, Epilogue::None, scores);
                    sums.clear();
                    sums.extend(scores.chunks_exact_mut(stride).map(|row| softmax_exp_row(row, keys, factor, g.last)));
                    let weights = left_in_place(scores, stride, &operands.values, keys);
                    product(&weights, &operands.values, 0, Accumulate::Overwrite, Epilogue::None, means);
                    for ((out, mean), sum) in out.chunks_exact_mut(d).zip(means.chunks_exact(width)).zip(&sums) {
                        scale_row(mean, *sum, out);
                    }
                }
            },
        );
    }

    /// The same for one window and all heads, from rows in bf16 to rows of `out`, which are rounded. Queries are the rows
    /// `of` of `queries`, their results the same rows of `out`; keys and values are the rows `tokens` of `qkv`, and
    /// `padding` more have the row `padded`. Of finite numbers it gives the bits of [`forward`](Self::forward), rounded.
    pub fn forward_window(
        &self,
        operands: &mut Operands,
        (queries, of): (&HalfRows, Range<usize>),
        (qkv, tokens): (&HalfRows, Range<usize>),
        (padding, padded): (usize, &HalfRows),
        out: &mut HalfRows,
    ) {
        let (d, channels) = (self.shape.dim, self.shape.channels());
        let (factor, keys) = (1.0 / (d as f32).sqrt(), tokens.len() + usize::from(padding > 0));
        let last = if padding > 0 { padding as f32 } else { 1.0 };
        let mut row = Buffer::new(d);
        for head in 0..self.shape.heads {
            let _work = scope(Kind::Attention, 4 * of.len() * keys * d);
            let columns = |part: usize| part * channels + head * d..part * channels + (head + 1) * d;
            let rows = |part: usize| {
                let mut rows = qkv.part(tokens.clone(), columns(part)).all();
                rows.extend((padding > 0).then(|| padded.part(0..1, columns(part)).row(0)));
                rows
            };
            operands.keys.set_columns_of_lanes(d, &rows(1));
            operands.values.set_rows_of_lanes(&rows(2), d);
            operands.keys.pad_columns();
            operands.values.pad_columns();
            operands.forward_tiles(queries.part(of.clone(), columns(0)), keys, factor, last, |i, mean, sum| {
                scale_row(mean, sum, &mut row);
                out.set(of.start + i, head * d, &row);
            });
        }
    }

    /// The gradient of [`forward`](Self::forward): from `gout` in the queries' window order to `gqkv` in the keys'
    /// window order, rows of `3 * dim` numbers (query, key, value) per token and head.
    pub fn backward(&self, qkv: &[f32], gout: &[f32], gqkv: &mut [f32]) {
        let (d, factor, per_map) = (self.shape.dim, 1.0 / (self.shape.dim as f32).sqrt(), self.shape.query_windows());
        let queries_per_map = self.shape.query_extent().area();
        let pieces = self.shape.pieces(self.shape.windows(), gqkv, 3 * d);
        pieces.into_par_iter().for_each_init(
            || Operands::new(self.precision),
            |operands, Piece { image, window, head, data: piece }| {
                let g = Gathered::new(&self.shape, self.bias, qkv, [image, window, head]);
                let (keys, all) = (g.keys.len(), g.query_rows(d));
                let _work = scope(Kind::Attention, 10 * all.len() * keys * d);
                let before = {
                    let w = per_map.get(window);
                    per_map.position(w.y, w.x).before
                };
                let start = (image * queries_per_map + before) * self.shape.channels() + head * all.len() * d;
                let gout = rows_of(&gout[start..start + all.len() * d], d);
                operands.keys.set_columns(d, &g.keys);
                operands.keys_by_row.set_rows(keys, d, |p| g.keys[p]);
                operands.values.set_columns(d, &g.values);
                let (stride, width) = (operands.keys.pad_columns(), operands.keys_by_row.pad_columns());
                operands.values.pad_columns();
                let rows = QUERY_ROWS.min(all.len());
                let [mut p, mut gp] = [(); 2].map(|()| Buffer::new(rows * stride));
                let mut gq = Buffer::new(all.len() * width);
                let [mut gk, mut gv] = [(); 2].map(|()| Buffer::new(keys * width));
                let [mut rounded, mut g_rounded] = [(); 2].map(|()| Buffer::default());
                let (mut sums, mut scaled) = (Vec::with_capacity(rows), Buffer::new(rows * d));
                let mut onto = Accumulate::Overwrite;
                for ((q, go), gq) in all.chunks(rows).zip(gout.chunks(rows)).zip(gq.chunks_mut(rows * width)) {
                    let n = q.len();
                    let (p, gp) = (&mut p[..n * stride], &mut gp[..n * stride]);
                    product(
                        &operands.keys.left_rows(q, &mut rounded),
                        &operands.keys,
                        0,
                        Accumulate::Overwrite,
                        Epilogue::None,
                        p,
                    );
                    // A row's weights are these exponentials over their sum. The row of its gradient is scaled instead: it is
                    // shorter.
                    sums.clear();
                    sums.extend(p.chunks_exact_mut(stride).map(|row| softmax_exp_row(row, keys, factor, g.last)));
                    for ((go, sum), scaled) in go.iter().zip(&sums).zip(scaled.chunks_exact_mut(d)) {
                        scale_row(go, *sum, scaled);
                    }
                    operands.gradients.set_rows(n, d, |i| &scaled[i * d..][..d]);
                    operands.gradients.pad_columns();
                    let weights = operands.gradients.left_transposed(p, stride);
                    transposed_product(&weights, keys, &operands.gradients, onto, width, &mut gv);
                    drop(weights);
                    product(
                        &operands.values.left_rows(go, &mut g_rounded),
                        &operands.values,
                        0,
                        Accumulate::Overwrite,
                        Epilogue::None,
                        gp,
                    );
                    for ((p, gp), sum) in p.chunks_exact(stride).zip(gp.chunks_exact_mut(stride)).zip(&sums) {
                        softmax_backward_row(p, *sum, factor, gp);
                    }
                    operands.queries.set_rows(n, d, |i| q[i]);
                    operands.queries.pad_columns();
                    transposed_product(
                        &operands.queries.left_transposed(gp, stride),
                        keys,
                        &operands.queries,
                        onto,
                        width,
                        &mut gk,
                    );
                    let gp = left_in_place(gp, stride, &operands.keys_by_row, keys);
                    product(&gp, &operands.keys_by_row, 0, Accumulate::Overwrite, Epilogue::None, gq);
                    onto = Accumulate::Add;
                }
                let gq = gq.chunks_exact(width).map(|row| &row[..d]);
                match &g.queries {
                    Queries::Rows(_) => {
                        for (row, gq) in piece.chunks_exact_mut(3 * d).zip(gq) {
                            row[..d].copy_from_slice(gq);
                        }
                    }
                    Queries::Pooled(_, from) => {
                        piece.chunks_exact_mut(3 * d).for_each(|row| row[..d].fill(0.0));
                        for (gq, from) in gq.zip(from.chunks_exact(d)) {
                            for (i, (g, token)) in gq.iter().zip(from).enumerate() {
                                piece[*token as usize * 3 * d + i] += g;
                            }
                        }
                    }
                }
                // A padded token's gradient is the bias's, which is frozen.
                let gradients = gk.chunks_exact(width).zip(gv.chunks_exact(width));
                for (row, (gk, gv)) in piece.chunks_exact_mut(3 * d).zip(gradients) {
                    row[d..2 * d].copy_from_slice(&gk[..d]);
                    row[2 * d..].copy_from_slice(&gv[..d]);
                }
            },
        );
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
