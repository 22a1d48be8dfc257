use dfdx::prelude::*;
use sam2unet::nn::ops::{AdapterRef, AttentionConfig, BlockWeights, adapted_block};
use sam2unet::nn::*;

type Tokens = Map<usize, Const<88>, Const<96>, Cpu>;

fn apply(
    x: Tokens,
    adapter: AdapterRef<'_, Const<96>, Hidden, Cpu>,
    weights: BlockWeights<'_, Const<192>, Const<192>, Cpu>,
    attention: AttentionConfig,
) -> Tokens {
    adapted_block(x, adapter, weights, attention, MemoryUse::Balanced).unwrap()
}

fn main() {}
