//! Queries, keys and values of one window and head, found among the projections' rows.

use super::shape::AttentionShape;
use crate::kernels::cpu::gemm::driver::rows_of;
use crate::kernels::cpu::vector::rows::largest_of_four;

/// Rows of `dim` numbers of one window and head. Only pooled queries are copied.
pub(super) struct Gathered<'a> {
    pub queries: Queries<'a>,
    /// The keys; the last one stands for all padded tokens, if there are any.
    pub keys: Vec<&'a [f32]>,
    /// The values, one for each key.
    pub values: Vec<&'a [f32]>,
    /// How many tokens the last key stands for.
    pub last: f32,
}

/// The queries of a window and head.
pub(super) enum Queries<'a> {
    /// One query for each token.
    Rows(Vec<&'a [f32]>),
    /// The maximum over 2x2 tokens, element by element, and the token of the window that each element came from.
    Pooled(Vec<f32>, Vec<u32>),
}

impl<'a> Gathered<'a> {
    /// The queries as rows of `dim` numbers.
    pub fn query_rows(&self, dim: usize) -> Vec<&[f32]> {
        match &self.queries {
            Queries::Rows(rows) => rows.clone(),
            Queries::Pooled(numbers, _) => rows_of(numbers, dim),
        }
    }

    /// From `qkv`, rows of `3 * heads * dim` numbers for each token of all maps, in the map's order. `bias` is the projections'
    /// bias: the row of a padded token.
    pub fn new(shape: &AttentionShape, bias: &'a [f32], qkv: &'a [f32], [image, window, head]: [usize; 3]) -> Self {
        let (d, row) = (shape.dim, 3 * shape.channels());
        let w = shape.windows().get(window);
        let qkv = &qkv[image * shape.extent.area() * row..];
        let at = |y: usize, x: usize, part: usize| {
            let start = ((w.y + y) * shape.extent.width + w.x + x) * row + part * shape.channels() + head * d;
            &qkv[start..start + d]
        };
        let tokens = |part: usize| {
            let mut rows = Vec::with_capacity(w.tokens() + 1);
            for y in 0..w.height {
                let start = ((w.y + y) * shape.extent.width + w.x) * row + part * shape.channels() + head * d;
                rows.extend(qkv[start..][..(w.width - 1) * row + d].chunks(row).map(|token| &token[..d]));
            }
            rows
        };
        let with_padding = |part: usize| {
            let mut rows = tokens(part);
            rows.extend((w.padding > 0).then(|| &bias[part * shape.channels() + head * d..][..d]));
            rows
        };
        let queries = if shape.pool {
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
        Self {
            queries,
            keys: with_padding(1),
            values: with_padding(2),
            last: if w.padding > 0 { w.padding as f32 } else { 1.0 },
        }
    }
}
