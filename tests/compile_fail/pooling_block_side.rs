use dfdx::prelude::*;
use sam2unet::nn::ops::{AdapterRef, AttentionConfig, BlockWeights, LinearWeights, pooling_block};
use sam2unet::nn::*;

fn apply(
    x: Map<usize, Const<88>, Const<96>, Cpu>,
    adapter: AdapterRef<'_, Const<96>, Hidden, Cpu>,
    weights: BlockWeights<'_, Const<96>, Const<192>, Cpu>,
    skip: LinearWeights<'_, Const<96>, Const<192>, Cpu>,
    attention: AttentionConfig,
) -> Map<usize, Const<88>, Const<192>, Cpu> {
    pooling_block(x, adapter, weights, skip, attention, MemoryUse::Balanced).unwrap()
}

fn main() {}
