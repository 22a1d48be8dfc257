//! Multi-head attention inside of windows, its scores never stored beyond a few query rows.
//!
//! Queries, keys and values come as rows of `3 * heads * dim` numbers per token, in the map's order.
//! Results are sorted by window, then head, then token ("window order"), so that every window and
//! head writes its own stretch; [`WindowOrder`] reads a token's row back.

use super::matmul::{Onto, Packed, Then, product, rows_of, transposed_product};
use super::profile::{Kind, scope};
use super::vector::{exponentials, largest_of_four, scale, softmax_backward};
use super::windows::{Window, Windows};
use rayon::prelude::*;

/// Query rows worked on at once: what bounds the scores held in memory.
const QUERY_ROWS: usize = 128;

/// What attention over a batch of maps needs to know.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Tokens to a side of the map.
    pub side: usize,
    /// Window of the attention; 0 for the whole map.
    pub window: usize,
    /// Number of heads.
    pub heads: usize,
    /// Numbers of a head.
    pub dim: usize,
    /// Whether queries are pooled 2x2.
    pub pool: bool,
    /// Bias of the query, key and value projection: what a padded token's row is.
    pub bias: &'a [f32],
}

/// One window and head: rows of `dim` numbers each, where they stand.
struct Gathered<'a> {
    window: Window,
    queries: Queries<'a>,
    /// The last one stands for all padded tokens, if there are any.
    keys: Vec<&'a [f32]>,
    /// As the keys.
    values: Vec<&'a [f32]>,
    /// How often the last key counts.
    last: f32,
}

enum Queries<'a> {
    /// A token's own.
    Rows(Vec<&'a [f32]>),
    /// The largest of four, and which token of the window each number came from.
    Pooled(Vec<f32>, Vec<u32>),
}

impl Gathered<'_> {
    fn queries(&self, dim: usize) -> Vec<&[f32]> {
        match &self.queries {
            Queries::Rows(rows) => rows.clone(),
            Queries::Pooled(numbers, _) => rows_of(numbers, dim),
        }
    }
}

/// Buffers that one task after another uses.
#[derive(Default)]
struct Scratch {
    keys: Packed,
    values: Packed,
    queries: Packed,
    gradients: Packed,
    keys_by_row: Packed,
    scores: Vec<f32>,
    score_gradients: Vec<f32>,
}

impl Attention<'_> {
    fn channels(&self) -> usize {
        self.heads * self.dim
    }

    fn windows(&self) -> Windows {
        Windows::new(self.side, self.window)
    }

    /// Windows over the queries' map.
    fn query_windows(&self) -> Windows {
        if self.pool { self.windows().pooled() } else { self.windows() }
    }

    /// The order of what belongs to queries.
    pub fn query_order(&self) -> WindowOrder {
        WindowOrder { windows: self.query_windows(), heads: self.heads, dim: self.dim }
    }

    /// The order of what belongs to keys.
    pub fn key_order(&self) -> WindowOrder {
        WindowOrder { windows: self.windows(), heads: self.heads, dim: self.dim }
    }

    /// Cuts `data` (all maps in window order, `row` numbers per token and head) by map, window and head.
    fn pieces<'d>(
        &self,
        windows: Windows,
        mut data: &'d mut [f32],
        row: usize,
    ) -> Vec<(usize, usize, usize, &'d mut [f32])> {
        let mut pieces = Vec::new();
        let mut image = 0;
        while !data.is_empty() {
            for window in 0..windows.count() {
                let length = windows.get(window).tokens() * row;
                for head in 0..self.heads {
                    let (piece, rest) = data.split_at_mut(length);
                    pieces.push((image, window, head, piece));
                    data = rest;
                }
            }
            image += 1;
        }
        pieces
    }

    fn gather<'a>(&'a self, qkv: &'a [f32], image: usize, window: usize, head: usize) -> Gathered<'a> {
        let (d, row) = (self.dim, 3 * self.channels());
        let w = self.windows().get(window);
        let qkv = &qkv[image * self.side * self.side * row..];
        let at = |y: usize, x: usize, part: usize| {
            let start = ((w.y + y) * self.side + w.x + x) * row + part * self.channels() + head * d;
            &qkv[start..start + d]
        };
        let tokens = |part: usize| {
            let mut rows = Vec::with_capacity(w.tokens() + 1);
            for y in 0..w.height {
                let start = ((w.y + y) * self.side + w.x) * row + part * self.channels() + head * d;
                rows.extend(qkv[start..][..(w.width - 1) * row + d].chunks(row).map(|token| &token[..d]));
            }
            rows
        };
        let with_padding = |part: usize| {
            let mut rows = tokens(part);
            rows.extend((w.padding > 0).then(|| &self.bias[part * self.channels() + head * d..][..d]));
            rows
        };
        let queries = if self.pool {
            let (h2, w2) = (w.height / 2, w.width / 2);
            let (mut numbers, mut from) = (vec![0.0; h2 * w2 * d], vec![0; h2 * w2 * d]);
            let tokens = (0..h2).flat_map(|y| (0..w2).map(move |x| (2 * y, 2 * x)));
            for (((y, x), numbers), from) in tokens.zip(numbers.chunks_exact_mut(d)).zip(from.chunks_exact_mut(d)) {
                let four = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
                largest_of_four(four.map(|(y, x)| at(y, x, 0)), numbers, from);
                let index = four.map(|(y, x)| (y * w.width + x) as u32);
                from.iter_mut().for_each(|i| *i = index[*i as usize]);
            }
            Queries::Pooled(numbers, from)
        } else {
            Queries::Rows(tokens(0))
        };
        Gathered {
            window: w,
            queries,
            keys: with_padding(1),
            values: with_padding(2),
            last: if w.padding > 0 { w.padding as f32 } else { 1.0 },
        }
    }

    /// `softmax(q k^T / sqrt(dim)) v`: from rows of all maps to `out` in window order of the queries.
    pub fn forward(&self, qkv: &[f32], out: &mut [f32]) {
        let (d, factor) = (self.dim, 1.0 / (self.dim as f32).sqrt());
        let pieces = self.pieces(self.query_windows(), out, d);
        pieces.into_par_iter().for_each_init(Scratch::default, |scratch, (image, window, head, out)| {
            let g = self.gather(qkv, image, window, head);
            let (keys, queries) = (g.keys.len(), g.queries(d));
            let _work = scope(Kind::Attention, 4 * queries.len() * keys * d);
            let Scratch { keys: k, values: v, scores, .. } = scratch;
            k.set_columns(d, keys, |j| g.keys[j]);
            v.set_rows(keys, d, |p| g.values[p]);
            scores.resize(QUERY_ROWS.min(queries.len()) * keys, 0.0);
            for (q, out) in queries.chunks(QUERY_ROWS).zip(out.chunks_mut(QUERY_ROWS * d)) {
                let scores = &mut scores[..q.len() * keys];
                product(q, k, 0, Onto::Nothing, Then::Stop, scores);
                let sums: Vec<f32> =
                    scores.chunks_exact_mut(keys).map(|row| exponentials(row, factor, g.last)).collect();
                product(&rows_of(scores, keys), v, 0, Onto::Nothing, Then::Stop, out);
                for (row, sum) in out.chunks_exact_mut(d).zip(sums) {
                    scale(row, sum);
                }
            }
        });
    }

    /// The gradient of [`forward`](Self::forward): from `gout` in the queries' window order to `gqkv` in the keys'
    /// window order, rows of `3 * dim` numbers (query, key, value) per token and head.
    pub fn backward(&self, qkv: &[f32], gout: &[f32], gqkv: &mut [f32]) {
        let (d, factor, per_map) = (self.dim, 1.0 / (self.dim as f32).sqrt(), self.query_windows());
        let queries_per_map = {
            let side = if self.pool { self.side / 2 } else { self.side };
            side * side
        };
        let pieces = self.pieces(self.windows(), gqkv, 3 * d);
        pieces.into_par_iter().for_each_init(Scratch::default, |scratch, (image, window, head, piece)| {
            let g = self.gather(qkv, image, window, head);
            let (keys, all, tokens) = (g.keys.len(), g.queries(d), g.window.tokens());
            let _work = scope(Kind::Attention, 10 * all.len() * keys * d);
            let place = {
                let w = per_map.get(window);
                per_map.place(w.y, w.x)
            };
            let start = (image * queries_per_map + place.before) * self.channels() + head * all.len() * d;
            let gout = &gout[start..start + all.len() * d];
            let (mut gq, mut gk, mut gv) = (vec![0.0; all.len() * d], vec![0.0; keys * d], vec![0.0; keys * d]);
            let s = scratch;
            s.keys.set_columns(d, keys, |j| g.keys[j]);
            s.keys_by_row.set_rows(keys, d, |p| g.keys[p]);
            s.values.set_columns(d, keys, |j| g.values[j]);
            let rows = QUERY_ROWS.min(all.len());
            s.scores.resize(rows * keys, 0.0);
            s.score_gradients.resize(rows * keys, 0.0);
            for ((q, go), gq) in all.chunks(rows).zip(gout.chunks(rows * d)).zip(gq.chunks_mut(rows * d)) {
                let n = q.len();
                let (p, gp) = (&mut s.scores[..n * keys], &mut s.score_gradients[..n * keys]);
                let go = rows_of(go, d);
                product(q, &s.keys, 0, Onto::Nothing, Then::Stop, p);
                for row in p.chunks_exact_mut(keys) {
                    let sum = exponentials(row, factor, g.last);
                    scale(row, sum);
                }
                s.gradients.set_rows(n, d, |i| go[i]);
                transposed_product(p, keys, &s.gradients, Onto::Itself, d, &mut gv);
                product(&go, &s.values, 0, Onto::Nothing, Then::Stop, gp);
                for (p, gp) in p.chunks_exact(keys).zip(gp.chunks_exact_mut(keys)) {
                    softmax_backward(p, factor, gp);
                }
                product(&rows_of(gp, keys), &s.keys_by_row, 0, Onto::Nothing, Then::Stop, gq);
                s.queries.set_rows(n, d, |i| q[i]);
                transposed_product(gp, keys, &s.queries, Onto::Itself, d, &mut gk);
            }
            if let Queries::Pooled(_, from) = &g.queries {
                for row in piece.chunks_exact_mut(3 * d) {
                    row[..d].fill(0.0);
                }
                for (i, (g, token)) in gq.iter().zip(from).enumerate() {
                    piece[*token as usize * 3 * d + i % d] += g;
                }
            }
            for token in 0..tokens {
                let row = &mut piece[token * 3 * d..][..3 * d];
                if !self.pool {
                    row[..d].copy_from_slice(&gq[token * d..][..d]);
                }
                row[d..2 * d].copy_from_slice(&gk[token * d..][..d]);
                row[2 * d..].copy_from_slice(&gv[token * d..][..d]);
            }
        });
    }
}

/// The order of results: by window, then head, then token.
#[derive(Clone, Copy)]
pub struct WindowOrder {
    windows: Windows,
    heads: usize,
    dim: usize,
}

impl WindowOrder {
    /// Where the `parts * dim` numbers of a token and each head begin.
    pub fn starts(&self, parts: usize, y: usize, x: usize) -> impl Iterator<Item = usize> {
        let (place, step) = (self.windows.place(y, x), parts * self.dim);
        let heads = self.heads;
        (0..heads).map(move |head| (place.before * heads + head * place.tokens + place.at) * step)
    }

    /// Reads a token's row of `heads * parts * dim` numbers, as `parts` runs of `heads * dim` (the order of the
    /// projections' rows).
    pub fn gather(&self, data: &[f32], parts: usize, y: usize, x: usize, row: &mut [f32]) {
        for (head, start) in self.starts(parts, y, x).enumerate() {
            for part in 0..parts {
                let to = (part * self.heads + head) * self.dim;
                row[to..to + self.dim].copy_from_slice(&data[start + part * self.dim..][..self.dim]);
            }
        }
    }
}
