//! Multi-head attention inside of windows, its scores never stored beyond a few query rows.
//!
//! Queries, keys and values come as rows of `3 * heads * dim` numbers per token, in the map's order.
//! Results are sorted by window, then head, then token ("window order"), so that every window and
//! head writes its own stretch; [`WindowOrder`] reads a token's row back.

use super::matmul::{Onto, Packed, Then, product, rows_of, transposed_product};
use super::profile::{Kind, scope};
use super::scratch::Scratch;
use super::vector::bf16::round_bf16_in_place;
use super::vector::rows::{largest_of_four, scale_row};
use super::vector::softmax::{softmax_backward_row, softmax_exp_row};
use super::windows::Windows;
use crate::nn::Precision;
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
    /// What products are computed in. Softmax and its gradient are single precision.
    pub precision: Precision,
}

/// One window and head: rows of `dim` numbers each, where they stand.
struct Gathered<'a> {
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

/// Factors whose buffers one task after another uses.
struct Factors {
    keys: Packed,
    keys_by_row: Packed,
    values: Packed,
    queries: Packed,
    gradients: Packed,
}

impl Factors {
    fn new(precision: Precision) -> Self {
        let [keys, keys_by_row, values, queries, gradients] = [(); 5].map(|()| Packed::empty(precision));
        Self { keys, keys_by_row, values, queries, gradients }
    }
}

/// Rows of `stride` numbers each as the left factor of a product with `factor`, rounded in their own place: the first
/// `factor.words_in(count)` words count.
fn left_in_place<'r>(rows: &'r mut [f32], stride: usize, factor: &Packed, count: usize) -> Vec<&'r [f32]> {
    if factor.precision() == Precision::Bf16 {
        rows.chunks_exact_mut(stride).for_each(round_bf16_in_place);
    }
    rows.chunks_exact(stride).map(|row| &row[..factor.words_in(count)]).collect()
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
        pieces.into_par_iter().for_each_init(
            || Factors::new(self.precision),
            |f, (image, window, head, out)| {
                let g = self.gather(qkv, image, window, head);
                let (keys, queries) = (g.keys.len(), g.queries(d));
                let _work = scope(Kind::Attention, 4 * queries.len() * keys * d);
                f.keys.set_columns(d, &g.keys);
                f.values.set_rows(keys, d, |p| g.values[p]);
                let (stride, width) = (f.keys.fill_up(), f.values.fill_up());
                let rows = QUERY_ROWS.min(queries.len());
                let (mut room, mut sums) = (Scratch::default(), Vec::with_capacity(rows));
                let (mut scores, mut means) = (Scratch::new(rows * stride), Scratch::new(rows * width));
                let queries = f.keys.left(&queries, &mut room);
                for (q, out) in queries.chunks(rows).zip(out.chunks_mut(rows * d)) {
                    let (scores, means) = (&mut scores[..q.len() * stride], &mut means[..q.len() * width]);
                    product(q, &f.keys, 0, Onto::Nothing, Then::Stop, scores);
                    sums.clear();
                    sums.extend(scores.chunks_exact_mut(stride).map(|row| softmax_exp_row(row, keys, factor, g.last)));
                    let weights = left_in_place(scores, stride, &f.values, keys);
                    product(&weights, &f.values, 0, Onto::Nothing, Then::Stop, means);
                    for ((out, mean), sum) in out.chunks_exact_mut(d).zip(means.chunks_exact(width)).zip(&sums) {
                        scale_row(mean, *sum, out);
                    }
                }
            },
        );
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
        pieces.into_par_iter().for_each_init(
            || Factors::new(self.precision),
            |f, (image, window, head, piece)| {
                let g = self.gather(qkv, image, window, head);
                let (keys, all) = (g.keys.len(), g.queries(d));
                let _work = scope(Kind::Attention, 10 * all.len() * keys * d);
                let place = {
                    let w = per_map.get(window);
                    per_map.place(w.y, w.x)
                };
                let start = (image * queries_per_map + place.before) * self.channels() + head * all.len() * d;
                let gout = rows_of(&gout[start..start + all.len() * d], d);
                f.keys.set_columns(d, &g.keys);
                f.keys_by_row.set_rows(keys, d, |p| g.keys[p]);
                f.values.set_columns(d, &g.values);
                let (stride, width) = (f.keys.fill_up(), f.keys_by_row.fill_up());
                f.values.fill_up();
                let rows = QUERY_ROWS.min(all.len());
                let [mut p, mut gp] = [(); 2].map(|()| Scratch::new(rows * stride));
                let mut gq = Scratch::new(all.len() * width);
                let [mut gk, mut gv] = [(); 2].map(|()| Scratch::new(keys * width));
                let [mut room, mut g_room] = [(); 2].map(|()| Scratch::default());
                let (mut sums, mut shrunk) = (Vec::with_capacity(rows), Scratch::new(rows * d));
                let mut onto = Onto::Nothing;
                for ((q, go), gq) in all.chunks(rows).zip(gout.chunks(rows)).zip(gq.chunks_mut(rows * width)) {
                    let n = q.len();
                    let (p, gp) = (&mut p[..n * stride], &mut gp[..n * stride]);
                    product(&f.keys.left(q, &mut room), &f.keys, 0, Onto::Nothing, Then::Stop, p);
                    // A row's weights are these numbers times its sum's inverse, which its gradient takes: it is shorter.
                    sums.clear();
                    sums.extend(p.chunks_exact_mut(stride).map(|row| softmax_exp_row(row, keys, factor, g.last)));
                    for ((go, sum), shrunk) in go.iter().zip(&sums).zip(shrunk.chunks_exact_mut(d)) {
                        scale_row(go, *sum, shrunk);
                    }
                    f.gradients.set_rows(n, d, |i| &shrunk[i * d..][..d]);
                    f.gradients.fill_up();
                    let weights = f.gradients.row_words(p, stride);
                    transposed_product(&weights, keys, &f.gradients, onto, width, &mut gv);
                    drop(weights);
                    product(&f.values.left(go, &mut g_room), &f.values, 0, Onto::Nothing, Then::Stop, gp);
                    for ((p, gp), sum) in p.chunks_exact(stride).zip(gp.chunks_exact_mut(stride)).zip(&sums) {
                        softmax_backward_row(p, *sum, factor, gp);
                    }
                    f.queries.set_rows(n, d, |i| q[i]);
                    f.queries.fill_up();
                    transposed_product(&f.queries.row_words(gp, stride), keys, &f.queries, onto, width, &mut gk);
                    let gp = left_in_place(gp, stride, &f.keys_by_row, keys);
                    product(&gp, &f.keys_by_row, 0, Onto::Nothing, Then::Stop, gq);
                    onto = Onto::Itself;
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

#[cfg(test)]
mod tests {
    use super::super::matmul::tests::numbers;
    use super::*;

    fn rounded(x: &[f32], precision: Precision) -> Vec<f64> {
        let halves = Packed::computed_in(precision) == Precision::Bf16;
        x.iter().map(|x| f64::from(if halves { half::bf16::from_f32(*x).to_f32() } else { *x })).collect()
    }

    /// The plain twin in double precision, padded tokens and all: the outputs in the map's order, and the gradient of
    /// `sum(outputs * probe)` with respect to the projections' rows. `whole` are these before they were rounded: what is
    /// pooled.
    fn twin(a: &Attention<'_>, whole: &[f32], qkv: &[f64], bias: &[f64], probe: &[f64]) -> [Vec<f64>; 2] {
        let (c, d, side) = (a.channels(), a.dim, a.side);
        let (row, step) = (3 * c, if a.pool { 2 } else { 1 });
        let (maps, window) = (qkv.len() / row / side / side, if a.window == 0 { side } else { a.window });
        let (mut out, mut gradient) = (vec![0.0; probe.len()], vec![0.0; qkv.len()]);
        let corners = (0..side).step_by(window).flat_map(|y| (0..side).step_by(window).map(move |x| (y, x)));
        let corners: Vec<_> = corners.collect();
        for (map, head, (y0, x0)) in (0..maps)
            .flat_map(|map| (0..a.heads).map(move |head| (map, head)))
            .flat_map(|(map, head)| corners.iter().map(move |corner| (map, head, *corner)))
        {
            // Where the numbers of a token begin, if it is real.
            let token =
                |y: usize, x: usize| (y < side && x < side).then(|| ((map * side + y) * side + x) * row + head * d);
            let tokens: Vec<Option<usize>> =
                (0..window * window).map(|i| token(y0 + i / window, x0 + i % window)).collect();
            let read = |token: &Option<usize>, part: usize, i: usize| match token {
                Some(start) => qkv[start + part * c + i],
                None => bias[part * c + head * d + i],
            };
            for (y, x) in (y0..(y0 + window).min(side))
                .step_by(step)
                .flat_map(|y| (x0..(x0 + window).min(side)).step_by(step).map(move |x| (y, x)))
            {
                // Of each number of the query the token that it is read from: the largest of four.
                let from: Vec<usize> = (0..d)
                    .map(|i| {
                        let four = (0..step * step).map(|t| token(y + t / step, x + t % step).unwrap() + i);
                        four.reduce(|best, other| if whole[other] > whole[best] { other } else { best }).unwrap()
                    })
                    .collect();
                let scale = 1.0 / (d as f64).sqrt();
                let score = |token| scale * (0..d).map(|i| qkv[from[i]] * read(token, 1, i)).sum::<f64>();
                let e: Vec<f64> = tokens.iter().map(|token| score(token).exp()).collect();
                let p: Vec<f64> = e.iter().map(|v| v / e.iter().sum::<f64>()).collect();
                let at = ((map * (side / step) + y / step) * (side / step) + x / step) * c + head * d;
                let g = &probe[at..at + d];
                for i in 0..d {
                    out[at + i] = p.iter().zip(&tokens).map(|(p, token)| p * read(token, 2, i)).sum();
                }
                let gp: Vec<f64> = tokens.iter().map(|t| (0..d).map(|i| g[i] * read(t, 2, i)).sum()).collect();
                let mean: f64 = p.iter().zip(&gp).map(|(p, g)| p * g).sum();
                for (j, token) in tokens.iter().enumerate() {
                    let gs = scale * p[j] * (gp[j] - mean);
                    for i in 0..d {
                        gradient[from[i]] += gs * read(token, 1, i);
                        if let Some(start) = token {
                            gradient[start + c + i] += gs * qkv[from[i]];
                            gradient[start + 2 * c + i] += p[j] * g[i];
                        }
                    }
                }
            }
        }
        [out, gradient]
    }

    /// Rows in the map's order.
    fn in_map_order(order: WindowOrder, data: &[f32], parts: usize, side: usize) -> Vec<f32> {
        let row = order.heads * order.dim * parts;
        let mut rows = vec![0.0; data.len()];
        for (data, rows) in data.chunks(side * side * row).zip(rows.chunks_mut(side * side * row)) {
            for (t, to) in rows.chunks_exact_mut(row).enumerate() {
                order.gather(data, parts, t / side, t % side, to);
            }
        }
        rows
    }

    fn close(got: &[f32], want: &[f64], bound: f64, what: &str) {
        assert_eq!(got.len(), want.len());
        let largest = want.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*g) - w).abs() < bound * largest, "{what}, number {i}: {g}, twin {w}");
        }
    }

    #[test]
    fn attention_agrees_with_the_plain_twin_of_its_rounded_inputs() {
        for (side, window, heads, dim, pool) in
            [(7, 4, 2, 5, false), (8, 8, 1, 72, false), (6, 4, 2, 8, true), (8, 4, 3, 3, true), (13, 0, 1, 9, false)]
        {
            for precision in [Precision::F32, Precision::Bf16] {
                let channels = heads * dim;
                let bias = numbers(3 * channels, 1);
                let attention = Attention { side, window, heads, dim, pool, bias: &bias, precision };
                let qkv: Vec<f32> = numbers(2 * side * side * 3 * channels, 2).iter().map(|v| 2.0 * v).collect();
                let outputs = 2 * channels * side * side / if pool { 4 } else { 1 };
                let probe = numbers(outputs, 3);
                let [out, gradient] = twin(
                    &attention,
                    &qkv,
                    &rounded(&qkv, precision),
                    &rounded(&bias, precision),
                    &rounded(&probe, precision),
                );
                let out_side = if pool { side / 2 } else { side };
                let mut got = vec![f32::NAN; outputs];
                attention.forward(&qkv, &mut got);
                let [value_bound, gradient_bound] = match Packed::computed_in(precision) {
                    // Weights and their gradients are rounded too.
                    Precision::Bf16 => [6e-3, 1e-2],
                    _ => [5e-6, 1.5e-5],
                };
                let what = format!("{side} {window} {heads} {dim} {pool} {precision:?}");
                close(&in_map_order(attention.query_order(), &got, 1, out_side), &out, value_bound, &what);
                let order = attention.query_order();
                let mut gout = vec![0.0; outputs];
                let per_map = out_side * out_side * channels;
                for (rows, sorted) in probe.chunks(per_map).zip(gout.chunks_mut(per_map)) {
                    for (t, row) in rows.chunks_exact(channels).enumerate() {
                        for (start, part) in order.starts(1, t / out_side, t % out_side).zip(row.chunks_exact(dim)) {
                            sorted[start..start + dim].copy_from_slice(part);
                        }
                    }
                }
                let mut got = vec![f32::NAN; qkv.len()];
                attention.backward(&qkv, &gout, &mut got);
                close(&in_map_order(attention.key_order(), &got, 3, side), &gradient, gradient_bound, &what);
            }
        }
    }
}
