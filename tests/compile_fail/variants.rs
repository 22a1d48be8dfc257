use sam2unet::nn::{Const, Variant};
use sam2unet::variant;

variant! { Heads = "heads", dim 16, heads 3, blocks [1 2 3 1], global [4], background 7, windows [8 4 14 7] }
variant! { Tile = "tile", dim 16, heads 1, blocks [1 2 3 1], global [4], background 7, windows [6 4 14 7] }
variant! { Odd = "odd", dim 16, heads 1, blocks [1 2 3 1], global [4], background 7, windows [8 4 7 7] }
variant! { Global = "global", dim 16, heads 1, blocks [1 2 3 1], global [7], background 7, windows [8 4 14 7] }

#[derive(Clone, Copy, Debug, Default)]
struct ByHand;
impl Variant for ByHand {
    type C1 = Const<16>;
    type C2 = Const<30>;
    type C3 = Const<64>;
    type C4 = Const<128>;
    type PlainBlocks1 = Const<1>;
    type PlainBlocks2 = Const<1>;
    type PlainBlocks3 = Const<1>;
    type PlainBlocks4 = Const<1>;
    type FirstBlock3 = Const<3>;
    type FirstBlock4 = Const<5>;
    type Background = Const<7>;
    type Tile = Const<8>;
    const NAME: &'static str = "by hand";
    const HEADS: usize = 1;
    const WINDOWS: [usize; 4] = [8, 4, 14, 7];
    const GLOBAL: &'static [usize] = &[];
}
const _: () = <ByHand as Variant>::CHECKED;

fn main() {}
