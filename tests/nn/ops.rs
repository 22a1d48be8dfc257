//! Operations on wrong shapes of sizes known at run time: a panic with the numbers.

use crate::support::wrong::{image, map, model, panics, wrong_images, wrong_maps, zeros};
use dfdx::prelude::*;
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig, ConvOptions, StemRef};
use sam2unet::nn::{Activation, BlockTrunk, Frozen, FrozenLinear, FrozenNorm, Map, Masks, MemoryUse, Precision};

type C = Const<4>;
type CO = Const<8>;

const OPTIONS: ConvOptions =
    ConvOptions { dilation: 1, relu: false, precision: Precision::F32, memory: MemoryUse::Small };

/// An operation on a map of this batch, height and width.
type Operation = Box<dyn Fn([usize; 3])>;

/// Each operation of one map, called with a map of this batch, height and width.
fn operations_of_one_map() -> Vec<(&'static str, Operation)> {
    let device = Cpu::default();
    let weight: Tensor<Rank4<8, 4, 3, 3>, f32, Cpu> = device.ones();
    let norm: [Tensor<Rank1<4>, f32, Cpu>; 2] = [device.ones(), device.ones()];
    let wide: [Tensor<Rank1<8>, f32, Cpu>; 2] = [device.ones(), device.ones()];
    let x = |[batch, height, width]: [usize; 3]| map::<C>(batch, height, width).leaky_trace();
    let w = weight.clone();
    vec![
        ("conv2d", Box::new(move |shape| drop(ops::conv2d(x(shape), &w, None, 1, false, Precision::F32)))),
        ("conv_norm", Box::new(move |shape| drop(ops::conv_norm(x(shape), &weight, wide.each_ref(), OPTIONS)))),
        ("batch_norm", Box::new(move |shape| drop(ops::batch_norm(x(shape), &norm[0], &norm[1], false)))),
        ("resize", Box::new(move |shape| drop(ops::resize(x(shape), 64usize)))),
        ("add_relu", Box::new(move |shape| drop(ops::add_relu(x(shape), x(shape))))),
        ("concat4", Box::new(move |shape| drop(ops::concat4::<_, _, _, Const<16>, _, _>([0; 4].map(|_| x(shape)))))),
        ("up2_concat, skip", Box::new(move |shape| drop(ops::up2_concat::<_, _, _, CO, _, _>(x(shape), x([1, 2, 2]))))),
        ("up2_concat, deep", Box::new(move |shape| drop(ops::up2_concat::<_, _, _, CO, _, _>(x([1, 8, 8]), x(shape))))),
        ("adapted_block", Box::new(move |shape| Blocks::new().keeping(x(shape)))),
        ("pooling_block", Box::new(move |shape| Blocks::new().pooling(x(shape)))),
    ]
}

/// A trainable linear layer from `I` to `O` channels.
type Linear<I, O> = (Tensor<(O, I), f32, Cpu>, Tensor<(O,), f32, Cpu>);

/// Frozen weights of a block and its adapter.
struct Blocks {
    keeping: BlockTrunk<C, C, Cpu>,
    pooling: BlockTrunk<C, CO, Cpu>,
    skip: FrozenLinear<C, CO, Cpu>,
    down: Linear<C, Const<2>>,
    up: Linear<Const<2>, C>,
}

fn frozen<S: ConstShape>() -> Frozen<S, Cpu> {
    Frozen::new(&Cpu::default(), vec![1.0; S::NUMEL], Precision::F32).unwrap()
}

fn linear<I: ConstDim, O: ConstDim>() -> FrozenLinear<I, O, Cpu> {
    FrozenLinear { weight: frozen(), bias: frozen() }
}

fn trunk<I: ConstDim, O: ConstDim>() -> BlockTrunk<I, O, Cpu> {
    BlockTrunk {
        norm1: FrozenNorm { weight: frozen(), bias: frozen() },
        qkv: linear(),
        proj: linear(),
        norm2: FrozenNorm { weight: frozen(), bias: frozen() },
        fc1: linear(),
        fc2: linear(),
    }
}

const ATTENTION: AttentionConfig = AttentionConfig { heads: 1, window: 0 };

type Traced<C> = Map<usize, usize, C, Cpu, OwnedTape<f32, Cpu>>;

impl Blocks {
    fn new() -> Self {
        let device = Cpu::default();
        Self {
            keeping: trunk(),
            pooling: trunk(),
            skip: linear(),
            down: (device.ones(), device.ones()),
            up: (device.ones(), device.ones()),
        }
    }

    fn adapter(&self) -> AdapterRef<'_, C, Const<2>, Cpu> {
        AdapterRef { down: (&self.down.0, &self.down.1), up: (&self.up.0, &self.up.1) }
    }

    fn keeping(&self, x: Traced<C>) {
        drop(ops::adapted_block(x, self.adapter(), self.keeping.weights(), ATTENTION, MemoryUse::Small));
    }

    fn pooling(&self, x: Traced<C>) {
        let (weights, skip) = (self.pooling.weights(), self.skip.weights());
        drop(ops::pooling_block(x, self.adapter(), weights, skip, ATTENTION, MemoryUse::Small));
    }
}

#[test]
fn every_operation_refuses_empty_batches_and_maps_that_are_not_square() {
    for (name, operation) in operations_of_one_map() {
        if !name.starts_with("up2_concat") {
            operation([1, 4, 4]);
        }
        for (shape, wanted) in wrong_maps() {
            assert_eq!(panics(|| operation(shape)), wanted, "{name}");
        }
    }
}

#[test]
fn the_stem_refuses_wrong_images() {
    let encoder = model().encoder;
    for ([batch, height, width], wanted) in wrong_images() {
        let stem = StemRef {
            weight: &encoder.patch_embed.weight,
            bias: &encoder.patch_embed.bias,
            background: &encoder.pos_embed,
            window: &encoder.pos_embed_window,
        };
        assert_eq!(panics(|| ops::patch_embed(image(batch, height, width), stem)), wanted);
    }
}

#[test]
fn the_loss_refuses_wrong_masks() {
    let masks =
        |batch, classes, height, width| -> Masks<usize, usize, usize, Cpu> { zeros((batch, classes, height, width)) };
    let loss = |logits, mask, weights| ops::structure_loss(logits, &mask, &weights, None, ops::CrossEntropy::Weighted);
    for ([batch, height, width], wanted) in wrong_maps() {
        let wrong = || masks(batch, 1, height, width);
        assert_eq!(panics(|| ops::loss_weights(&wrong(), None)), wanted);
        assert_eq!(panics(|| loss(wrong(), wrong(), wrong())), wanted);
    }
    let right = || masks(2, 1, 4, 4);
    loss(right(), right(), right()).unwrap();
    for other in [[1, 1, 4, 4], [2, 3, 4, 4], [2, 1, 6, 6]] {
        let other = || masks(other[0], other[1], other[2], other[3]);
        for said in [panics(|| loss(right(), other(), right())), panics(|| loss(right(), right(), other()))] {
            let [batch, classes, side, _] = other().shape().concrete();
            assert!(said.contains("[2, 1, 4, 4]"), "{said}");
            assert!(said.contains(&format!("[{batch}, {classes}, {side}, {side}]")), "{said}");
        }
    }
}

#[test]
fn operations_of_several_maps_refuse_those_that_differ() {
    let x = |[batch, side]: [usize; 2]| map::<C>(batch, side, side);
    for other in [[1, 4], [2, 6]] {
        let numbers = format!("[{}, {}, {}, 4]", other[0], other[1], other[1]);
        let said = panics(|| ops::add_relu(x([2, 4]), x(other)));
        assert!(said.contains("[2, 4, 4, 4]") && said.contains(&numbers), "{said}");
        let maps = || [x([2, 4]), x([2, 4]), x(other), x([2, 4])];
        let said = panics(|| ops::concat4::<_, _, _, Const<16>, _, _>(maps()));
        assert!(said.contains("[2, 4, 4, 4]") && said.contains(&numbers), "{said}");
        let activations = || maps().map(|map| Activation::from_map(map).unwrap());
        let said = panics(|| Activation::concat4::<Const<16>>(activations()));
        assert!(said.contains("[2, 4, 4, 4]") && said.contains(&numbers), "{said}");
        let [a, _, b, _] = activations();
        let said = panics(|| a.add_relu(&b));
        assert!(said.contains("[2, 4, 4, 4]") && said.contains(&numbers), "{said}");
    }
    // the deep map is half the skip, of the same batch
    for (skip, deep) in [([2, 4], [2, 4]), ([2, 4], [2, 3]), ([2, 4], [1, 2]), ([2, 5], [2, 2])] {
        let wanted = format!(
            "a decoder step joins a skip [{}, {side}, {side}, 4] and a deep map of half its side, \
             not [{}, {half}, {half}, 4]",
            skip[0],
            deep[0],
            side = skip[1],
            half = deep[1]
        );
        assert_eq!(panics(|| ops::up2_concat::<_, _, _, CO, _, _>(x(skip), x(deep))), wanted);
        let [skip, deep] = [skip, deep].map(|shape| Activation::from_map(x(shape)).unwrap());
        assert_eq!(panics(|| Activation::up2_concat::<CO>(&skip, &deep)), wanted);
    }
}

#[test]
fn training_norms_refuse_one_value_a_channel() {
    let wanted = "batch normalisation in training needs more than one value a channel, and a map of 1 x 1 x 1 has one";
    let mut norms = operations_of_one_map();
    norms.retain(|(name, _)| name.ends_with("_norm"));
    assert_eq!(norms.len(), 2, "conv_norm and batch_norm");
    for (name, operation) in norms {
        assert_eq!(panics(|| operation([1, 1, 1])), wanted, "{name}");
        operation([2, 1, 1]);
    }
}

#[test]
fn a_pooling_block_refuses_a_map_without_a_half() {
    for side in [1, 3, 5] {
        let wanted = format!("a pooling block halves its map, and {side} x {side} is odd");
        assert_eq!(panics(|| Blocks::new().pooling(map(1, side, side).leaky_trace())), wanted);
        let x: Activation<usize, usize, C, Cpu> = Activation::from_map(map(1, side, side)).unwrap();
        let blocks = Blocks::new();
        let pooled = || x.pooling_block(blocks.adapter(), blocks.pooling.weights(), blocks.skip.weights(), ATTENTION);
        assert_eq!(panics(pooled), wanted);
    }
}

#[test]
fn a_block_refuses_heads_and_windows_that_do_not_fit() {
    let blocks = Blocks::new();
    let x: Activation<usize, usize, C, Cpu> = Activation::from_map(map(3, 4, 4)).unwrap();
    let channels = C::SIZE;
    for heads in [0, channels + 1] {
        let attention = AttentionConfig { heads, window: 0 };
        let said = panics(|| x.adapted_block(blocks.adapter(), blocks.keeping.weights(), attention));
        assert_eq!(said, format!("{channels} channels are not divided by {heads} heads"));
    }
    let attention = AttentionConfig { heads: 1, window: 3 };
    let pooled = || x.pooling_block(blocks.adapter(), blocks.pooling.weights(), blocks.skip.weights(), attention);
    assert_eq!(panics(pooled), "a pooling block halves its windows, and their side 3 is odd");
}

#[test]
fn an_activation_is_made_of_square_maps() {
    for ([batch, height, width], wanted) in wrong_maps() {
        assert_eq!(panics(|| Activation::from_map(map::<C>(batch, height, width))), wanted);
    }
}
