use dfdx::{nn::Module, prelude::*};
use sam2unet::nn::*;

fn apply(block: &PoolBlock<Tiny, Const<96>, Const<288>, Cpu>, x: &Activation<usize, Const<88>, Const<96>, Cpu>) {
    let _ = block.forward(x);
}

fn main() {
    let _: fn(&_, &_) = apply;
}
