use dfdx::prelude::*;
use sam2unet::nn::ops::BlockWeights;
use sam2unet::nn::*;

type C = Const<96>;

fn lend<'a>(
    trunk: &'a BlockTrunk<C, C, Cpu>,
    wrong: &'a FrozenLinear<C, Times<2, C>, Cpu>,
) -> BlockWeights<'a, C, C, Cpu> {
    BlockWeights {
        norm1: trunk.norm1.weights(),
        norm2: trunk.norm2.weights(),
        qkv: wrong.weights(),
        proj: trunk.proj.weights(),
        fc1: trunk.fc1.weights(),
        fc2: trunk.fc2.weights(),
    }
}

fn main() {}
