//! A block's sizes and weights, what its forward pass saves, and how its work is shared out.

use crate::kernels::adapted_block::{AttentionConfig, BlockBuffers, BlockSize};
use crate::kernels::cpu::attention::shape::AttentionShape;
use crate::kernels::cpu::attention::windowed::Attention;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::device::FrozenWeight;
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::tiled::TiledRows;
use crate::kernels::cpu::vector::layer_norm::layer_norm;
use crate::kernels::extent::Extent;
use crate::kernels::profile::{Kind, scope};
use std::sync::Arc;

/// Tokens worked on at once, at most: their widest rows stay in the second-level cache.
const MOST_ROWS: usize = 120;
/// Maps worked on together have about this many tokens: what bounds temporary memory.
const GROUP_TOKENS: usize = 4096;

/// One block with its weights.
pub struct Block<'a> {
    pub(super) size: BlockSize,
    /// The packed weight `(r, c)`.
    pub(super) down: Packed,
    pub(super) down_bias: &'a [f32],
    /// The packed weight `(c, r)`.
    pub(super) up: Packed,
    pub(super) up_bias: &'a [f32],
    pub(super) frozen: &'a BlockBuffers<Arc<FrozenWeight>>,
}

/// The weights transposed, as gradients of inputs are multiplied by them.
pub(super) struct TransposedWeights {
    pub(super) down: Packed,
    pub(super) up: Packed,
    pub(super) qkv: Packed,
    pub(super) proj: Packed,
    pub(super) fc1: Packed,
    pub(super) fc2: Packed,
    pub(super) skip: Option<Packed>,
}

/// What the forward pass saved for the backward pass, group by group.
pub struct Saved(pub(super) Vec<SavedActivations>);

/// What it saved for one group of maps.
#[derive(Default)]
pub(super) struct SavedActivations {
    /// Projections `(n, 3 co)`.
    pub(super) qkv: Option<Vec<f32>>,
    /// Attention output with its skip `(m, co)`.
    pub(super) a: Option<Vec<f32>>,
    /// The MLP's hidden layer before its GELU `(m, 4 co)`.
    pub(super) hidden: Option<Vec<f32>>,
}

/// Gradients to add to.
pub struct BlockGradients<'a> {
    /// Gradient of the input.
    pub x: &'a mut [f32],
    /// Gradients of down weight, down bias, up weight, up bias.
    pub adapter: [&'a mut [f32]; 4],
}

/// The same in tiles ([`tiled`](crate::kernels::cpu::gemm::tiled)), whose products are faster the more rows meet a weight.
const MOST_TILED_ROWS: usize = 128;
/// The same where a layer's weight is larger than the second-level cache.
const MOST_TILED_ROWS_OF_WIDE_LAYERS: usize = 256;
/// Channels from which on that is so.
const WIDE: usize = 384;

/// How many rows a task takes: an equal share for each thread, of at most [`MOST_ROWS`].
pub(super) fn rows_per_task(rows: usize) -> usize {
    let threads = rayon::current_num_threads();
    let tasks = rows.div_ceil(MOST_ROWS).next_multiple_of(threads);
    rows.div_ceil(tasks).max(16)
}

/// A layer norm whose rows are rounded to the tiles of the product that reads them.
pub(super) fn tiled_layer_norm(x: &[f32], [gamma, beta]: &[Arc<FrozenWeight>; 2]) -> TiledRows {
    let _work = scope(Kind::Norm, 0);
    let columns = gamma.values().len();
    let (mut tiles, mut normed) = (TiledRows::new(x.len() / columns, columns), Buffer::new(columns));
    for (i, row) in x.chunks_exact(columns).enumerate() {
        layer_norm(row, gamma.values(), beta.values(), &mut normed);
        tiles.set(i, &normed);
    }
    tiles
}

/// Work between products, for the profile.
pub(super) fn elementwise(work: impl FnOnce()) {
    let _work = scope(Kind::Norm, 0);
    work();
}

/// Chunks of an optional slice: `None` without an end if there is no slice.
pub(super) fn pieces_mut(whole: Option<&mut [f32]>, length: usize) -> impl Iterator<Item = Option<&mut [f32]>> {
    let there = whole.is_some();
    let pieces = whole.unwrap_or_default().chunks_mut(length).map(Some);
    pieces.chain(std::iter::repeat_with(|| None).take(if there { 0 } else { usize::MAX }))
}

impl<'a> Block<'a> {
    /// `adapter`: down weight `(r, c)`, down bias, up weight `(c, r)`, up bias.
    pub fn new(size: BlockSize, adapter: [&'a [f32]; 4], frozen: &'a BlockBuffers<Arc<FrozenWeight>>) -> Self {
        let [down, down_bias, up, up_bias] = adapter;
        let precision = frozen.qkv[0].packed().precision();
        let down = Packed::from_columns(down, size.channels, precision);
        let up = Packed::from_columns(up, size.hidden, precision);
        Self { size, down, down_bias, up, up_bias, frozen }
    }

    pub(super) fn transposed(&self) -> TransposedWeights {
        let f = self.frozen;
        TransposedWeights {
            down: self.down.transposed(),
            up: self.up.transposed(),
            qkv: f.qkv[0].packed().transposed(),
            proj: f.proj[0].packed().transposed(),
            fc1: f.fc1[0].packed().transposed(),
            fc2: f.fc2[0].packed().transposed(),
            skip: f.skip.as_ref().map(|s| s[0].packed().transposed()),
        }
    }

    /// Tokens of a map that comes in.
    pub(super) fn tokens(&self) -> usize {
        self.size.map.area()
    }

    /// The map that goes out.
    pub(super) fn extent_out(&self) -> Extent {
        self.size.out_map()
    }

    /// Its tokens.
    pub(super) fn tokens_out(&self) -> usize {
        self.extent_out().area()
    }

    /// How many maps are worked on together. It must not depend on the number of threads, as weight
    /// gradients are summed group by group.
    pub(super) fn maps_per_group(&self) -> usize {
        (GROUP_TOKENS / self.tokens()).clamp(1, self.size.batch)
    }

    /// How many rows a task of the forward pass takes.
    pub(super) fn forward_rows(&self, rows: usize) -> usize {
        if !self.frozen.qkv[0].packed().takes_tiles() {
            return rows_per_task(rows);
        }
        let wide = self.size.out_channels >= WIDE;
        let most = if wide { MOST_TILED_ROWS_OF_WIDE_LAYERS } else { MOST_TILED_ROWS };
        let tasks = rows.div_ceil(most).next_multiple_of(rayon::current_num_threads());
        rows.div_ceil(tasks).next_multiple_of(TiledRows::BLOCK)
    }

    pub(super) fn attention(&self) -> Attention<'_> {
        let BlockSize { map: extent, out_channels, attention: AttentionConfig { heads, window }, pool, .. } = self.size;
        Attention {
            shape: AttentionShape { extent, window, heads, dim: out_channels / heads, pool },
            bias: self.frozen.qkv[1].values(),
            precision: self.frozen.qkv[0].packed().precision(),
        }
    }

    pub(super) fn first_norm(&self, z: &[f32], normed: &mut [f32]) {
        let _work = scope(Kind::Norm, 0);
        layer_norm(z, self.frozen.norm1[0].values(), self.frozen.norm1[1].values(), normed);
    }

    pub(super) fn second_norm(&self, a: &[f32], normed: &mut [f32]) {
        let _work = scope(Kind::Norm, 0);
        layer_norm(a, self.frozen.norm2[0].values(), self.frozen.norm2[1].values(), normed);
    }
}
