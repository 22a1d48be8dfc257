//! Multi-head attention inside of windows, its scores never stored beyond a few query rows.
//!
//! Queries, keys and values come as rows of `3 * heads * dim` numbers per token, in the map's order.
//! Results are sorted by window, then head, then token ("window order"), so that every window and
//! head writes its own stretch; [`WindowOrder`] reads a token's row back.

use super::matmul::{Matrix, Threads, Write, matmul};
use super::vector::{exponentials, scale, softmax_backward};
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

/// One window and head, gathered.
struct Gathered {
    window: Window,
    /// Scaled by `1 / sqrt(dim)`; `(queries, dim)`.
    q: Vec<f32>,
    /// For pooled queries: which token of the window each number came from.
    from: Vec<u32>,
    /// `(keys, dim)`; the last row stands for all padded tokens, if there are any.
    k: Vec<f32>,
    /// As `k`.
    v: Vec<f32>,
    /// How often the last key counts.
    last: f32,
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

    fn gather(&self, qkv: &[f32], image: usize, window: usize, head: usize) -> Gathered {
        let (d, row) = (self.dim, 3 * self.channels());
        let w = self.windows().get(window);
        let qkv = &qkv[image * self.side * self.side * row..];
        let at = |y: usize, x: usize, part: usize| {
            let start = ((w.y + y) * self.side + w.x + x) * row + part * self.channels() + head * d;
            &qkv[start..start + d]
        };
        let padded = |part: usize| &self.bias[part * self.channels() + head * d..][..d];
        let keys = w.tokens() + usize::from(w.padding > 0);
        let (mut k, mut v) = (Vec::with_capacity(keys * d), Vec::with_capacity(keys * d));
        for y in 0..w.height {
            for x in 0..w.width {
                k.extend_from_slice(at(y, x, 1));
                v.extend_from_slice(at(y, x, 2));
            }
        }
        if w.padding > 0 {
            k.extend_from_slice(padded(1));
            v.extend_from_slice(padded(2));
        }
        let mut from = Vec::new();
        let mut q;
        if self.pool {
            let (h2, w2) = (w.height / 2, w.width / 2);
            q = Vec::with_capacity(h2 * w2 * d);
            from.reserve(h2 * w2 * d);
            for y in 0..h2 {
                for x in 0..w2 {
                    let corners = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| {
                        let (y, x) = (2 * y + i, 2 * x + j);
                        (at(y, x, 0), (y * w.width + x) as u32)
                    });
                    for c in 0..d {
                        let (mut best, mut token) = (corners[0].0[c], corners[0].1);
                        for (row, t) in &corners[1..] {
                            // Not `<=`: a NaN, once met, stays; among equals the first one counts.
                            if !(row[c] <= best || best.is_nan()) {
                                (best, token) = (row[c], *t);
                            }
                        }
                        q.push(best);
                        from.push(token);
                    }
                }
            }
        } else {
            q = Vec::with_capacity(w.tokens() * d);
            for y in 0..w.height {
                for x in 0..w.width {
                    q.extend_from_slice(at(y, x, 0));
                }
            }
        }
        scale(&mut q, 1.0 / (d as f32).sqrt());
        let last = if w.padding > 0 { w.padding as f32 } else { 1.0 };
        Gathered { window: w, q, from, k, v, last }
    }

    /// `softmax(q k^T / sqrt(dim)) v`: from rows of all maps to `out` in window order of the queries.
    pub fn forward(&self, qkv: &[f32], out: &mut [f32]) {
        let d = self.dim;
        self.pieces(self.query_windows(), out, d).into_par_iter().for_each(|(image, window, head, out)| {
            let g = self.gather(qkv, image, window, head);
            let keys = g.k.len() / d;
            let mut scores = vec![0.0; QUERY_ROWS.min(g.q.len() / d) * keys];
            for (q, out) in g.q.chunks(QUERY_ROWS * d).zip(out.chunks_mut(QUERY_ROWS * d)) {
                let scores = &mut scores[..q.len() / d * keys];
                matmul(scores, Write::Set, 1.0, Matrix::new(q, d), Matrix::new(&g.k, d).transposed(), Threads::One);
                let factors: Vec<f32> = scores.chunks_exact_mut(keys).map(|row| exponentials(row, g.last)).collect();
                matmul(out, Write::Set, 1.0, Matrix::new(scores, keys), Matrix::new(&g.v, d), Threads::One);
                for (row, factor) in out.chunks_exact_mut(d).zip(factors) {
                    scale(row, factor);
                }
            }
        });
    }

    /// The gradient of [`forward`](Self::forward): from `gout` in the queries' window order to `gqkv` in the keys'
    /// window order, rows of `3 * dim` numbers (query, key, value) per token and head.
    pub fn backward(&self, qkv: &[f32], gout: &[f32], gqkv: &mut [f32]) {
        let (d, per_map) = (self.dim, self.query_windows());
        let queries_per_map = {
            let side = if self.pool { self.side / 2 } else { self.side };
            side * side
        };
        self.pieces(self.windows(), gqkv, 3 * d).into_par_iter().for_each(|(image, window, head, piece)| {
            let g = self.gather(qkv, image, window, head);
            let (keys, queries, tokens) = (g.k.len() / d, g.q.len() / d, g.window.tokens());
            let place = {
                let w = per_map.get(window);
                per_map.place(w.y, w.x)
            };
            let start = (image * queries_per_map + place.before) * self.channels() + head * queries * d;
            let gout = &gout[start..start + queries * d];
            let (mut gq, mut gk, mut gv) = (vec![0.0; queries * d], vec![0.0; keys * d], vec![0.0; keys * d]);
            let rows = QUERY_ROWS.min(queries);
            let (mut p, mut gp) = (vec![0.0; rows * keys], vec![0.0; rows * keys]);
            for ((q, go), gq) in g.q.chunks(rows * d).zip(gout.chunks(rows * d)).zip(gq.chunks_mut(rows * d)) {
                let n = q.len() / d * keys;
                let (p, gp) = (&mut p[..n], &mut gp[..n]);
                matmul(p, Write::Set, 1.0, Matrix::new(q, d), Matrix::new(&g.k, d).transposed(), Threads::One);
                for row in p.chunks_exact_mut(keys) {
                    let factor = exponentials(row, g.last);
                    scale(row, factor);
                }
                matmul(&mut gv, Write::Add, 1.0, Matrix::new(p, keys).transposed(), Matrix::new(go, d), Threads::One);
                matmul(gp, Write::Set, 1.0, Matrix::new(go, d), Matrix::new(&g.v, d).transposed(), Threads::One);
                for (p, gp) in p.chunks_exact(keys).zip(gp.chunks_exact_mut(keys)) {
                    softmax_backward(p, gp);
                }
                matmul(
                    gq,
                    Write::Set,
                    1.0 / (d as f32).sqrt(),
                    Matrix::new(gp, keys),
                    Matrix::new(&g.k, d),
                    Threads::One,
                );
                matmul(&mut gk, Write::Add, 1.0, Matrix::new(gp, keys).transposed(), Matrix::new(q, d), Threads::One);
            }
            if self.pool {
                for row in piece.chunks_exact_mut(3 * d) {
                    row[..d].fill(0.0);
                }
                for (i, (g, token)) in gq.iter().zip(&g.from).enumerate() {
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
