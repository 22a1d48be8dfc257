//! Wrong shapes of sizes known at run time: an error at the doors, a panic with the numbers in `Module::forward` and in
//! each operation. And classes known at run time.

use crate::golden::{Pico, Synthetic, batch, gradients};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use sam2unet::data::Batch;
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig, ConvOptions, StemRef};
use sam2unet::nn::weights::Value;
use sam2unet::nn::*;
use sam2unet::train::{AdamWConfig, Learner, Session};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

const EMPTY: &str = "an empty batch: there must be an image";

fn model() -> Sam2UNet<Pico> {
    Sam2UNet::from_source(&Cpu::default(), &mut Synthetic).unwrap()
}

fn zeros<S: Shape>(shape: S) -> Tensor<S, f32, Cpu> {
    Cpu::default().zeros_like(&shape)
}

fn image(batch: usize, height: usize, width: usize) -> Image<usize, usize, Cpu> {
    zeros((batch, Const, height, width))
}

fn map<C: ConstDim>(batch: usize, height: usize, width: usize) -> Map<usize, usize, C, Cpu> {
    zeros((batch, height, width, C::default()))
}

/// What a panic of `work` says.
fn panics<R>(work: impl FnOnce() -> R) -> String {
    let words = |payload: Box<dyn Any + Send>| match payload.downcast::<String>() {
        Ok(words) => *words,
        Err(payload) => payload.downcast_ref::<&str>().copied().unwrap_or("no words").to_string(),
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(_) => panic!("nothing was refused"),
        Err(payload) => words(payload),
    }
}

/// The four wrong images, and what is said of them.
fn wrong_images() -> [([usize; 3], String); 4] {
    let side = |n| format!("an image's side must be a multiple of 32 from 64 on, not {n}");
    [
        ([1, 64, 128], "height and width must be equal, and are 64 x 128".to_string()),
        ([1, 63, 63], side(63)),
        ([1, 32, 32], side(32)),
        ([0, 64, 64], EMPTY.to_string()),
    ]
}

/// A map that is not square, and an empty batch of maps.
fn wrong_maps() -> [([usize; 3], String); 2] {
    [([1, 4, 6], "height and width must be equal, and are 4 x 6".to_string()), ([0, 4, 4], EMPTY.to_string())]
}

// ---- the doors

#[test]
fn a_predictor_refuses_images_of_a_wrong_shape() {
    let predictor = model().into_predictor();
    for ([batch, height, width], wanted) in wrong_images() {
        let error = predictor.predict(image(batch, height, width)).unwrap_err();
        assert!(matches!(error, PredictError::Shape(_)), "{error:?}");
        assert_eq!(error.to_string(), wanted);
    }
    assert_eq!(predictor.predict(image(1, 64, 64)).unwrap().shape().concrete(), [1, 1, 64, 64]);
    // a side that the compiler knows does not hide an empty batch
    let none: Image<usize, Const<64>, Cpu> = zeros((0, Const, Const, Const));
    assert_eq!(predictor.predict(none).unwrap_err().to_string(), EMPTY);
}

#[test]
fn a_network_refuses_images_of_a_wrong_shape() {
    let (model, predictor) = (model(), model().into_predictor());
    let networks: [&dyn Network; 2] = [&model, &predictor];
    for network in networks {
        let error =
            |numbers: usize, batch, side| network.logits(&vec![0.0; numbers], batch, side).unwrap_err().to_string();
        let unsupported =
            |side| format!("side {side} is none of the supported ones, the multiples of 32 from 64 to 1024");
        assert_eq!(error(3 * 64 * 128, 1, 64), "1 images of side 64 are 12288 numbers, 24576 were given");
        assert_eq!(error(3 * 63 * 63, 1, 63), unsupported(63));
        assert_eq!(error(3 * 32 * 32, 1, 32), unsupported(32));
        assert_eq!(error(0, 0, 64), EMPTY);
    }
}

#[test]
fn a_training_step_refuses_batches_of_a_wrong_shape() {
    let device = Cpu::default();
    let mut session =
        Session::<Pico, Cpu>::new(device, &mut Synthetic, AdamWConfig::default(), BuildOptions::default()).unwrap();
    let mut error = |count: usize, side: usize, pixels: usize| {
        let (images, masks) = (vec![0.0; 3 * pixels], vec![0.0; pixels]);
        let batch = Batch { side, indices: (0..count).collect(), images, masks };
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap_err().to_string()
    };
    assert_eq!(
        error(1, 64, 64 * 128),
        "batch: 1 images of side 64 need 12288 numbers and their masks 4096, found 24576 and 8192"
    );
    assert_eq!(
        error(1, 63, 63 * 63),
        "batch: side 63 is none of the supported ones, the multiples of 32 from 64 to 1024"
    );
    assert_eq!(error(0, 64, 0), format!("batch: {EMPTY}"));
    // nothing of these steps is left
    let (images, masks) = batch(64, 1);
    let batch = Batch { side: 64, indices: vec![0], images, masks };
    session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
    assert_eq!(session.losses().unwrap().len(), 1);
}

// ---- modules

#[test]
fn forward_panics_with_the_numbers() {
    let mut model = model();
    for ([batch, height, width], wanted) in wrong_images() {
        let image = || image(batch, height, width);
        assert_eq!(panics(|| model.forward(image())), wanted);
        assert_eq!(panics(|| model.try_predict(image())), wanted);
        assert_eq!(panics(|| model.encoder.forward(image())), wanted);
        assert_eq!(panics(|| model.forward_mut(image().leaky_trace())), wanted);
    }
    for ([batch, height, width], wanted) in wrong_maps() {
        assert_eq!(panics(|| model.rfb1.forward(map(batch, height, width))), wanted);
        assert_eq!(panics(|| model.rfb1.forward_mut(map(batch, height, width).leaky_trace())), wanted);
        assert_eq!(panics(|| model.up1.forward((map(batch, height, width), map(1, 2, 2)))), wanted);
        assert_eq!(panics(|| model.up1.forward((map(1, 4, 4), map(batch, height, width)))), wanted);
    }
    let wanted = "a decoder step joins a skip [1, 4, 4, 64] and a deep map of half its side, not [1, 3, 3, 64]";
    assert_eq!(panics(|| model.up1.forward((map(1, 4, 4), map(1, 3, 3)))), wanted);
    assert_eq!(panics(|| model.up1.forward_mut((map(1, 4, 4).leaky_trace(), map(1, 3, 3).leaky_trace()))), wanted);
    // one value a channel has no variance
    let said = panics(|| model.rfb1.forward_mut(map(1, 1, 1).leaky_trace()));
    assert!(said.contains("more than one value a channel") && said.contains("1 x 1 x 1"), "{said}");
}

// ---- operations

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
    let loss = |logits, mask, weights| ops::structure_loss(logits, &mask, &weights, ops::CrossEntropy::Weighted);
    for ([batch, height, width], wanted) in wrong_maps() {
        let wrong = || masks(batch, 1, height, width);
        assert_eq!(panics(|| ops::loss_weights(&wrong())), wanted);
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
            "a decoder step joins a skip [{}, {side}, {side}, 4] and a deep map of half its side, not [{}, {half}, {half}, 4]",
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
    for (name, operation) in operations_of_one_map() {
        if name.ends_with("_norm") {
            assert_eq!(panics(|| operation([1, 1, 1])), wanted, "{name}");
            operation([2, 1, 1]);
        }
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
fn a_loss_refuses_a_mask_of_other_images() {
    let model = || -> Sam2UNet<Pico> { Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(0)).unwrap() };
    let images = |batch: usize, side: usize| -> Image<usize, usize, Cpu> {
        Cpu::default().ones_like(&(batch, Const, side, side))
    };
    let masks = |batch: usize, side: usize| -> Masks<usize, usize, Const<1>, Cpu> {
        Cpu::default().ones_like(&(batch, Const, side, side))
    };
    let loss = |batch, side| {
        let outputs = model().forward_mut(images(2, 64).leaky_trace());
        drop(outputs.loss(&masks(batch, side), Loss::Paper));
    };
    assert!(panics(|| loss(1, 64)).contains("logits and mask differ in shape"));
    assert!(panics(|| loss(2, 96)).contains("logits and mask differ in shape"));
    assert!(panics(|| drop(model().forward_mut(images(0, 64).leaky_trace()))).contains("an empty batch"));
}

#[test]
fn an_activation_is_made_of_square_maps() {
    for ([batch, height, width], wanted) in wrong_maps() {
        assert_eq!(panics(|| Activation::from_map(map::<C>(batch, height, width))), wanted);
    }
}

// ---- classes known at run time

type Three = Sam2UNet<Pico, Cpu, Const<3>>;
type Open = Sam2UNet<Pico, Cpu, usize>;

fn of_classes<K: Classes>(classes: usize) -> Result<Sam2UNet<Pico, Cpu, K>, BuildError> {
    Sam2UNet::with_classes(&Cpu::default(), &mut Initialiser::new(3), classes, BuildOptions::default())
}

#[test]
fn a_number_of_classes_known_at_run_time_gives_the_same_model() {
    fn stored<K: Classes>(model: &Sam2UNet<Pico, Cpu, K>) -> Vec<(String, Vec<usize>, Value)> {
        let mut list = Vec::new();
        model.each_value(&mut |spec, value| list.push((spec.name, spec.shape, value)));
        list
    }
    /// Logits, loss and gradients by name, as bits.
    #[allow(clippy::type_complexity)]
    fn trained<K: Classes>(mut model: Sam2UNet<Pico, Cpu, K>) -> (Vec<Vec<u32>>, Vec<(String, Vec<u32>)>) {
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let device = Cpu::default();
        let (numbers, mask) = batch(64, 2);
        let x = || -> Image<usize, usize, Cpu> { device.tensor_from_vec(numbers.clone(), (2, Const, 64, 64)) };
        let classes = K::of(3).unwrap();
        let truth = mask.chunks(64 * 64).flat_map(|m| [m, m, m].concat()).collect();
        let truth: Masks<usize, usize, K, Cpu> = device.tensor_from_vec(truth, (2, classes, 64, 64));
        let y = model.forward(x());
        let mut given: Vec<Vec<f32>> = [&y.head, &y.side1, &y.side2].map(|y| y.as_vec()).into();
        given.push(model.clone().into_predictor().predict(x()).unwrap().as_vec());
        let loss = model.forward_mut(x().leaky_trace()).loss(&truth, Loss::Paper).unwrap();
        given.push(vec![loss.array()]);
        let found = gradients(&model, &loss.backward());
        (given.into_iter().map(bits).collect(), found.into_iter().map(|(name, g)| (name, bits(g))).collect())
    }
    let (three, any) = (of_classes::<Const<3>>(3).unwrap(), of_classes::<usize>(3).unwrap());
    assert_eq!((three.classes(), any.classes()), (3, 3));
    assert_eq!(any.head.weight.tensor().shape().concrete(), [3, 64, 1, 1]);
    assert_eq!(Open::specs_for(3), Three::specs());
    assert_eq!(stored(&three), stored(&any));
    let ((values, grads), (any_values, any_grads)) = (trained(three), trained(any));
    assert!(values == any_values, "logits or loss differ");
    assert!(grads.iter().map(|(name, _)| name).eq(any_grads.iter().map(|(name, _)| name)));
    for ((name, a), (_, b)) in grads.iter().zip(&any_grads) {
        assert!(a == b && a.iter().any(|g| *g != 0), "{name}");
    }
}

#[test]
fn classes_that_the_type_does_not_allow_are_refused() {
    let said = |error: BuildError| {
        assert!(matches!(error, BuildError::Classes { .. }), "{error:?}");
        error.to_string()
    };
    assert_eq!(
        said(of_classes::<usize>(0).unwrap_err()),
        "a model for 0 classes was asked for; its type allows any but 0"
    );
    assert_eq!(said(of_classes::<Const<3>>(2).unwrap_err()), "a model for 2 classes was asked for; its type allows 3");
    assert_eq!(said(of_classes::<Const<3>>(0).unwrap_err()), "a model for 0 classes was asked for; its type allows 3");
    // without a number there is one class
    let one: Open = Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(3)).unwrap();
    assert_eq!(one.classes(), 1);
    assert_eq!(panics(|| Open::specs_for(0)), "a model must have a class");
}
