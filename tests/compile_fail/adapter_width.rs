use dfdx::prelude::*;
use sam2unet::nn::*;

fn swap(block: &mut Block<Tiny, Const<192>, Cpu>, adapter: Adapter<Const<96>, Cpu>) {
    block.adapter = adapter;
}

fn main() {}
