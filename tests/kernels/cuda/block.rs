//! Adapted blocks, those that keep their map and those that pool.

use crate::support::case::{Case, Given, How, SINGLE, Traced, check, check_in, given, map, numbers, weight};
use dfdx::prelude::*;
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig};
use sam2unet::nn::{Backend, BlockTrunk, Frozen, FrozenLinear, FrozenNorm, MemoryUse, Precision};

/// What comes into a block.
#[derive(Clone, Copy, PartialEq)]
enum Tokens {
    Random,
    /// Each four that a pool takes are equal.
    Fourfold,
    /// One of them is no number.
    Spoilt,
}

/// Hidden width of the adapters.
const R: usize = 4;

/// The sizes of a block under test.
#[derive(Clone, Copy)]
struct BlockSizes {
    batch: usize,
    side: usize,
    heads: usize,
    window: usize,
    memory: MemoryUse,
    tokens: Tokens,
}

/// A block that keeps its map.
struct Block<const C: usize>(BlockSizes);

/// A block that pools.
struct PoolingBlock<const C: usize, const CO: usize>(BlockSizes);

fn frozen<S: ConstShape, D: Backend>(device: &D, numbers: Vec<f32>, precision: Precision) -> Frozen<S, D> {
    Frozen::new(device, numbers, precision).unwrap()
}

/// A frozen layer in this precision.
fn linear<I: ConstDim, O: ConstDim, D: Backend>(device: &D, seed: u64, precision: Precision) -> FrozenLinear<I, O, D> {
    let factor = (2.0 / I::SIZE as f32).sqrt();
    let weight = numbers(O::SIZE * I::SIZE, seed).into_iter().map(|v| v * factor).collect();
    let bias = numbers(O::SIZE, seed + 1).into_iter().map(|v| v * 0.3).collect();
    FrozenLinear { weight: frozen(device, weight, precision), bias: frozen(device, bias, Precision::F32) }
}

fn norm<C: ConstDim, D: Backend>(device: &D, seed: u64) -> FrozenNorm<C, D> {
    let gamma = numbers(C::SIZE, seed).into_iter().map(|v| 1.0 + v * 0.2).collect();
    let beta = numbers(C::SIZE, seed + 1).into_iter().map(|v| v * 0.2).collect();
    FrozenNorm { weight: frozen(device, gamma, Precision::F32), bias: frozen(device, beta, Precision::F32) }
}

/// The frozen weights of a block from `C` to `CO` channels.
fn trunk<C: ConstDim, CO: ConstDim, D: Backend>(device: &D, precision: Precision) -> BlockTrunk<C, CO, D> {
    BlockTrunk {
        norm1: norm(device, 10),
        qkv: linear(device, 12, precision),
        proj: linear(device, 14, precision),
        norm2: norm(device, 16),
        fc1: linear(device, 18, precision),
        fc2: linear(device, 20, precision),
    }
}

impl BlockSizes {
    fn attention(&self) -> AttentionConfig {
        AttentionConfig { heads: self.heads, window: self.window }
    }

    /// Runs a block from `C` to `CO` channels, given as an operation on the traced input and the adapter.
    fn run<const C: usize, const CO: usize, D: Backend>(
        &self,
        device: &D,
        mut block: impl FnMut(Traced<Const<C>, D>, AdapterRef<'_, Const<C>, Const<R>, D>) -> Traced<Const<CO>, D>,
    ) -> Given {
        let side = self.side;
        let mut values = numbers(self.batch * side * side * C, 1);
        match self.tokens {
            Tokens::Random => {}
            Tokens::Spoilt => values[C + 1] = f32::NAN,
            Tokens::Fourfold => {
                let random = values.clone();
                for (token, row) in values.chunks_exact_mut(C).enumerate() {
                    let first = token / side / 2 * 2 * side + token % side / 2 * 2;
                    row.copy_from_slice(&random[first * C..][..C]);
                }
            }
        }
        let x = map::<Const<C>, D>(device, values, self.batch, self.side);
        let down_weight = weight::<Rank2<R, C>, D>(device, 2, 0.5);
        let down_bias = weight::<Rank1<R>, D>(device, 3, 0.3);
        let up_weight = weight::<Rank2<C, R>, D>(device, 4, 0.6);
        let up_bias = weight::<Rank1<C>, D>(device, 5, 0.3);
        given!(device, [x, down_weight, down_bias, up_weight, up_bias], |x| {
            block(x, AdapterRef { down: (&down_weight, &down_bias), up: (&up_weight, &up_bias) })
        })
    }
}

impl<const C: usize> Case for Block<C> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let (sizes, trunk) = (self.0, trunk::<Const<C>, Const<C>, D>(device, how.precision));
        sizes.run::<C, C, D>(device, |x, adapter| {
            ops::adapted_block(x, adapter, trunk.weights(), sizes.attention(), sizes.memory).unwrap()
        })
    }
}

impl<const C: usize, const CO: usize> Case for PoolingBlock<C, CO> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let (sizes, trunk) = (self.0, trunk::<Const<C>, Const<CO>, D>(device, how.precision));
        let skip = linear(device, 22, how.precision);
        sizes.run::<C, CO, D>(device, |x, adapter| {
            let attention = sizes.attention();
            ops::pooling_block(x, adapter, trunk.weights(), skip.weights(), attention, sizes.memory).unwrap()
        })
    }
}

/// Checks a block in every precision; gradients of one that pools and was rounded otherwise than its twin tell nothing:
/// which of four a pool takes may change.
fn check_block(case: &impl Case, pools: bool) {
    check(case, 1e-4);
    for (precision, tolerance) in [(Precision::Bf16, [1.5e-2, 4e-2]), (Precision::Tf32, [2e-3, 5e-3])] {
        let here = How { precision, ..SINGLE };
        let same = Cpu::default().computes_in(precision) == precision;
        let gradients = if !pools || same { tolerance[1] } else { f64::INFINITY };
        let twin = if pools && same { here } else { SINGLE };
        check_in(case, [here, twin], [tolerance[0], gradients]);
    }
}

/// A block of this width in both ways to train it.
fn block<const C: usize>(batch: usize, side: usize, heads: usize, window: usize) {
    for memory in [MemoryUse::Small, MemoryUse::Balanced] {
        let sizes = BlockSizes { batch, side, heads, window, memory, tokens: Tokens::Random };
        check_block(&Block::<C>(sizes), false);
    }
}

fn pooling_block<const C: usize, const CO: usize>(batch: usize, side: usize, heads: usize, window: usize) {
    for memory in [MemoryUse::Small, MemoryUse::Balanced] {
        let sizes = BlockSizes { batch, side, heads, window, memory, tokens: Tokens::Random };
        check_block(&PoolingBlock::<C, CO>(sizes), true);
    }
}

#[test]
fn blocks() {
    block::<8>(2, 1, 1, 0);
    block::<8>(1, 5, 2, 0);
    block::<8>(2, 6, 2, 2);
    block::<8>(1, 7, 1, 3); // windows of 9, 6, 4 and 2 tokens
    block::<6>(1, 9, 3, 14); // one window, larger than the map
    block::<16>(1, 12, 1, 0); // 144 keys: several tiles
    block::<16>(1, 22, 2, 14); // 196 keys, of which some are padded
}

#[test]
fn blocks_that_pool() {
    pooling_block::<8, 16>(2, 2, 1, 0);
    pooling_block::<8, 16>(1, 6, 2, 0);
    pooling_block::<8, 16>(2, 8, 1, 4);
    pooling_block::<6, 12>(1, 10, 3, 4); // windows of 16, 8 and 4 tokens
    pooling_block::<6, 12>(1, 6, 1, 14);
    pooling_block::<4, 8>(1, 22, 1, 14);
}

#[test]
fn blocks_of_every_width_of_head() {
    block::<40>(1, 7, 1, 0);
    block::<40>(1, 7, 1, 3);
    block::<72>(1, 6, 1, 4); // windows of as many tokens as small tiles have, and one padded key more
    block::<72>(1, 9, 1, 0); // 81 keys: more than one tile of queries, too
    pooling_block::<56, 112>(1, 6, 1, 4);
    pooling_block::<72, 144>(1, 6, 1, 4);
    pooling_block::<100, 200>(1, 4, 1, 0);
    block::<168>(1, 5, 1, 3);
}

#[test]
fn pools_take_the_first_among_equals() {
    for memory in [MemoryUse::Small, MemoryUse::Balanced] {
        let sizes = BlockSizes { batch: 1, side: 8, heads: 2, window: 4, memory, tokens: Tokens::Fourfold };
        check(&PoolingBlock::<8, 16>(sizes), 1e-4);
    }
}

#[test]
fn a_spoilt_number_spoils_the_same_numbers() {
    let (memory, tokens) = (MemoryUse::Balanced, Tokens::Spoilt);
    check(&Block::<8>(BlockSizes { batch: 2, side: 6, heads: 2, window: 3, memory, tokens }), 1e-4);
    check(&PoolingBlock::<8, 16>(BlockSizes { batch: 2, side: 8, heads: 2, window: 4, memory, tokens }), 1e-4);
}
