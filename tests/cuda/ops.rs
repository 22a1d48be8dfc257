//! Every operation on the GPU against the CPU: values and gradients, over shapes that leave tiles, windows and warps
//! half full.

use crate::devices::gpu;
use crate::golden::{Pico, Synthetic};
use dfdx::prelude::*;
use half::bf16;

use sam2unet::kernels::adamw::{AdamWKernel, AdamWStep};
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig, BlockWeights, ConvOptions, StemRef};
use sam2unet::nn::{
    Backend, BlockTrunk, BuildOptions, Const, Frozen, FrozenLinear, FrozenNorm, KernelDevice, MemoryUse, Precision,
    Sam2UNet,
};

/// What an operation gave: its values, then the gradient of `sum(values * probe)` for each input.
type Given = Vec<(String, Vec<f32>)>;

/// How a case is run.
#[derive(Clone, Copy)]
struct How {
    precision: Precision,
    /// Whether the factors that it is given are rounded to bf16 beforehand.
    rounded: bool,
}

impl How {
    /// Numbers that are a product's factors.
    fn factors(self, mut numbers: Vec<f32>) -> Vec<f32> {
        if self.rounded {
            numbers.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
        numbers
    }
}

const SINGLE: How = How { precision: Precision::F32, rounded: false };

/// One operation on one shape.
trait Case {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given;
}

/// Runs a case on both devices in single precision.
fn check(case: &impl Case, tolerance: f64) {
    check_in(case, [SINGLE; 2], [tolerance; 2]);
}

/// Runs a case on the GPU, twice, which must give the same bits, and on the CPU. Values, and then gradients, may differ by
/// `tolerance` of the largest; what is no number on one device is none on the other.
fn check_in(case: &impl Case, [here, twin]: [How; 2], [values, gradients]: [f64; 2]) {
    let Some(device) = gpu() else {
        return;
    };
    if !device.supports(here.precision) {
        return;
    }
    let (found, wanted) = (case.run(&device, here), case.run(&Cpu::default(), twin));
    for ((name, first), (_, second)) in found.iter().zip(&case.run(&device, here)) {
        assert!(
            first.iter().map(|v| v.to_bits()).eq(second.iter().map(|v| v.to_bits())),
            "{name} differs between runs"
        );
    }
    assert_eq!(found.len(), wanted.len());
    for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
        assert_eq!(found.len(), wanted.len(), "{name}");
        let tolerance = if name.starts_with("gradient") { gradients } else { values };
        let finite = wanted.iter().filter(|v| v.is_finite());
        let largest = finite.fold(1e-9, |most: f64, v| most.max(f64::from(v.abs())));
        for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
            let same = f == w || (f.is_nan() && w.is_nan());
            let near = (f64::from(*f) - f64::from(*w)).abs() <= tolerance * largest;
            assert!(same || near, "{name}, number {i} of {}: {f}, on the CPU {w}", wanted.len());
        }
    }
}

/// Runs a case in every precision. Its inputs must be factors of its products, and nothing must be rounded between them:
/// then bf16 gives what single precision gives with rounded inputs. TF32 has no such twin: where a ReLU `switches` it may
/// do so for other numbers, and gradients tell nothing.
fn check_all(case: &impl Case, switches: bool, tolerance: f64) {
    check(case, tolerance);
    let (bf16, tf32) = (How { precision: Precision::Bf16, ..SINGLE }, How { precision: Precision::Tf32, ..SINGLE });
    check_in(case, [bf16, How { rounded: true, ..SINGLE }], [tolerance; 2]);
    check_in(case, [tf32, SINGLE], [2e-3, if switches { f64::INFINITY } else { 2e-3 }]);
}

/// Pseudo-random numbers in -1..1.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

type Plane<C> = (usize, usize, usize, C);
type Traced<C, D> = Tensor<Plane<C>, f32, D, OwnedTape<f32, D>>;

fn map<C: ConstDim, D: Backend>(device: &D, values: Vec<f32>, batch: usize, side: usize) -> Tensor<Plane<C>, f32, D> {
    device.tensor_from_vec(values, (batch, side, side, C::default()))
}

fn weight<S: ConstShape, D: Backend>(device: &D, seed: u64, factor: f32) -> Tensor<S, f32, D> {
    factors(device, seed, factor, SINGLE)
}

/// The weight of a product.
fn factors<S: ConstShape, D: Backend>(device: &D, seed: u64, factor: f32, how: How) -> Tensor<S, f32, D> {
    let values = numbers(S::NUMEL, seed).into_iter().map(|v| v * factor).collect();
    device.tensor_from_vec(how.factors(values), S::default())
}

/// Values of an operation on the first input, traced, and the gradients of all. There are two passes, whose gradients add
/// up: what an operation gives is added to what is there.
macro_rules! given {
    ($device:expr, [$first:ident $(, $other:ident)*], $operation:expr) => {{
        let (mut gradients, mut given) = (Gradients::leaky(), Vec::new());
        for pass in 0..2 {
            let y = $operation($first.trace(gradients));
            let shape = *y.shape();
            // numbers of few bits: no precision rounds them
            let probe = numbers(shape.num_elements(), 100 + pass).into_iter().map(|v| bf16::from_f32(v).to_f32());
            let probe = $device.tensor_from_vec(probe.collect(), shape);
            given = vec![("value".to_string(), y.as_vec())];
            gradients = (y * probe).sum::<Rank0, _>().backward();
        }
        given.push((concat!("gradient of ", stringify!($first)).to_string(), gradients.get(&$first).as_vec()));
        $(given.push((concat!("gradient of ", stringify!($other)).to_string(), gradients.get(&$other).as_vec()));)*
        given
    }};
}

struct Convolution<const C: usize, const CO: usize, const KH: usize, const KW: usize> {
    batch: usize,
    side: usize,
    dilation: usize,
    bias: bool,
    relu: bool,
    spoil: bool,
}

impl<const C: usize, const CO: usize, const KH: usize, const KW: usize> Case for Convolution<C, CO, KH, KW> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * C, 1);
        if self.spoil {
            values[3] = f32::NAN;
        }
        let x = map::<Const<C>, D>(device, how.factors(values), self.batch, self.side);
        let w = factors::<Rank4<CO, C, KH, KW>, D>(device, 2, 0.5, how);
        let b = weight::<Rank1<CO>, D>(device, 3, 0.5);
        let bias = self.bias.then_some(&b);
        let run =
            |x| -> Traced<Const<CO>, D> { ops::conv2d(x, &w, bias, self.dilation, self.relu, how.precision).unwrap() };
        if self.bias { given!(device, [x, w, b], run) } else { given!(device, [x, w], run) }
    }
}

fn convolution<const C: usize, const CO: usize, const KH: usize, const KW: usize>() {
    for (batch, side, dilation, bias, relu, spoil) in [
        (1, 1, 1, true, true, false),
        (2, 7, 1, false, false, false),
        (1, 11, 3, true, false, false),
        (3, 6, 7, false, true, false),
        (2, 9, 2, true, true, true),
    ] {
        check_all(&Convolution::<C, CO, KH, KW> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
    }
}

#[test]
fn convolutions_of_every_kernel() {
    convolution::<5, 3, 1, 1>();
    convolution::<3, 1, 1, 1>();
    convolution::<4, 6, 1, 7>();
    convolution::<7, 2, 5, 1>();
    convolution::<6, 5, 3, 3>();
    convolution::<40, 33, 3, 3>();
}

#[test]
fn convolutions_in_several_slices() {
    let case = |side| (1, side, 1, true, false, false);
    // what the taps see is more than is laid out at once, on the way forward or backward
    let (batch, side, dilation, bias, relu, spoil) = case(172);
    check_all(&Convolution::<64, 2, 3, 3> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
    check_all(&Convolution::<2, 64, 3, 3> { batch, side, dilation, bias, relu, spoil }, relu, 2e-5);
}

struct BatchNorm<const C: usize> {
    batch: usize,
    side: usize,
    relu: bool,
    offset: f32,
    spoil: bool,
}

impl<const C: usize> Case for BatchNorm<C> {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * C, 1);
        values.iter_mut().for_each(|v| *v += self.offset);
        if self.spoil {
            values[1] = f32::NAN;
        }
        let x = map::<Const<C>, D>(device, values, self.batch, self.side);
        let (scale, bias) = (weight::<Rank1<C>, D>(device, 2, 1.0), weight::<Rank1<C>, D>(device, 3, 1.0));
        let run = |x| ops::batch_norm(x, &scale, &bias, self.relu).unwrap();
        let [mean, variance] = run(x.leaky_trace()).1;
        let mut given = given!(device, [x, scale, bias], |x| run(x).0);
        given.push(("mean".into(), mean.as_vec()));
        given.push(("variance".into(), variance.as_vec()));
        given
    }
}

#[test]
fn batch_norm() {
    for (batch, side, relu, offset, spoil) in [
        (1, 2, false, 0.0, false),
        (2, 5, true, 0.0, false),
        (3, 23, false, 2.0, false), // more rows than one block sums
        (2, 17, true, 0.5, false),
        (2, 6, true, 0.0, true),
    ] {
        check(&BatchNorm::<6> { batch, side, relu, offset, spoil }, 2e-5);
        check(&BatchNorm::<37> { batch, side, relu, offset, spoil }, 2e-5);
    }
    // a mean that dwarfs the spread: only double precision holds the difference
    check(&BatchNorm::<6> { batch: 2, side: 17, relu: false, offset: 3000.0, spoil: false }, 2e-6);
    check(&BatchNorm::<6> { batch: 1, side: 9, relu: true, offset: -3000.0, spoil: false }, 2e-6);
}

/// Numbers around `offset`; a 1x1 kernel is given them centred.
struct ConvBatchNorm<const KH: usize> {
    batch: usize,
    side: usize,
    offset: f32,
    relu: bool,
}

impl<const KH: usize> Case for ConvBatchNorm<KH> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let mut values = numbers(self.batch * self.side * self.side * 5, 1);
        values.iter_mut().for_each(|v| *v += self.offset);
        let x = map::<Const<5>, D>(device, values, self.batch, self.side);
        let w = weight::<Rank4<6, 5, KH, 1>, D>(device, 2, 0.5);
        let (scale, bias) = (weight::<Rank1<6>, D>(device, 3, 1.0), weight::<Rank1<6>, D>(device, 4, 1.0));
        // one size of each kernel computes again what lies between
        let memory = if self.batch == 1 { MemoryUse::Small } else { MemoryUse::default() };
        let options = ConvOptions { dilation: 2, relu: self.relu, precision: how.precision, memory };
        let run = |x| ops::conv_norm(x, &w, [&scale, &bias], options).unwrap();
        let [mean, variance] = run(x.leaky_trace()).1;
        let mut given = given!(device, [x, w, scale, bias], |x| run(x).0);
        given.push(("mean".into(), mean.as_vec()));
        given.push(("variance".into(), variance.as_vec()));
        given
    }
}

#[test]
fn convolution_and_batch_norm_as_one() {
    check(&ConvBatchNorm::<3> { batch: 2, side: 9, offset: 0.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<3> { batch: 1, side: 4, offset: 0.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<1> { batch: 2, side: 9, offset: 3000.0, relu: true }, 2e-5);
    check(&ConvBatchNorm::<1> { batch: 1, side: 5, offset: -300.0, relu: true }, 2e-5);
    // without a ReLU, which rounding switches; the gradient that comes to the convolution is rounded
    for (precision, tolerance) in [(Precision::Bf16, [1.5e-2, 4e-2]), (Precision::Tf32, [2e-3, 5e-3])] {
        let how = How { precision, ..SINGLE };
        check_in(&ConvBatchNorm::<3> { batch: 2, side: 9, offset: 0.0, relu: false }, [how, SINGLE], tolerance);
        check_in(&ConvBatchNorm::<1> { batch: 2, side: 9, offset: 3000.0, relu: false }, [how, SINGLE], tolerance);
    }
}

struct AddRelu(usize);

impl Case for AddRelu {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        // halves, so that sums meet zero
        let values = |seed| numbers(2 * self.0 * self.0 * 3, seed).iter().map(|v| (v * 2.0).round() / 2.0).collect();
        let mut spoilt: Vec<f32> = values(1);
        spoilt[2] = f32::NAN;
        let a = map::<Const<3>, D>(device, spoilt, 2, self.0);
        let b = map::<Const<3>, D>(device, values(2), 2, self.0);
        given!(device, [a, b], |a| ops::add_relu(a, b.leaky_trace()).unwrap())
    }
}

#[test]
fn sum_with_relu() {
    for side in [1, 7, 20] {
        check(&AddRelu(side), 0.0);
    }
}

struct Concat(usize);

impl Case for Concat {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let [a, b, c, d] =
            [1, 2, 3, 4].map(|seed| map::<Const<5>, D>(device, numbers(2 * self.0 * self.0 * 5, seed), 2, self.0));
        given!(device, [a, b, c, d], |a| -> Traced<Const<20>, D> {
            ops::concat4([a, b.leaky_trace(), c.leaky_trace(), d.leaky_trace()]).unwrap()
        })
    }
}

#[test]
fn concatenation() {
    for side in [1, 3, 11] {
        check(&Concat(side), 0.0);
    }
}

struct Join {
    batch: usize,
    half: usize,
}

impl Case for Join {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let (batch, half) = (self.batch, self.half);
        let skip = map::<Const<3>, D>(device, numbers(batch * 4 * half * half * 3, 1), batch, 2 * half);
        let deep = map::<Const<3>, D>(device, numbers(batch * half * half * 3, 2), batch, half);
        given!(device, [skip, deep], |skip| -> Traced<Const<6>, D> {
            ops::up2_concat(skip, deep.leaky_trace()).unwrap()
        })
    }
}

#[test]
fn doubling_beside_a_skip() {
    for (batch, half) in [(1, 1), (2, 2), (1, 5), (3, 11), (1, 22)] {
        check(&Join { batch, half }, 1e-5);
    }
}

struct Resize {
    batch: usize,
    from: usize,
    to: usize,
}

impl Case for Resize {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let x = map::<Const<2>, D>(device, numbers(self.batch * self.from * self.from * 2, 1), self.batch, self.from);
        given!(device, [x], |x| ops::resize::<usize, _, _, _, _, _>(x, self.to).unwrap())
    }
}

#[test]
fn resizing_to_the_image() {
    for (batch, from, to) in [(1, 1, 32), (2, 2, 32), (1, 6, 96), (3, 5, 80), (1, 24, 96), (2, 11, 352)] {
        check(&Resize { batch, from, to }, 1e-5);
    }
}

struct Loss {
    batch: usize,
    side: usize,
    cross_entropy: ops::CrossEntropy,
    soft: bool,
    spoil: bool,
}

impl Case for Loss {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let (side, n) = (self.side, self.batch * 2 * self.side * self.side);
        let shape = (self.batch, Const::<2>, side, side);
        let mut values: Vec<f32> = numbers(n, 1).iter().map(|v| 20.0 * v * v * v).collect();
        if self.spoil {
            values[7] = f32::NAN;
        }
        let truth = (0..n).map(|i| {
            let (x, y) = ((i % side) as f32, (i / side % side) as f32);
            let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 9.0) / 3.0;
            if self.soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
        });
        let x = device.tensor_from_vec(values, shape);
        let truth = device.tensor_from_vec(truth.collect(), shape);
        let weights = ops::loss_weights(&truth).unwrap();
        let (mut gradients, mut value) = (Gradients::leaky(), Vec::new());
        for _ in 0..2 {
            let y = ops::structure_loss(x.trace(gradients), &truth, &weights, self.cross_entropy).unwrap();
            value = y.as_vec();
            gradients = (y * 0.7).backward();
        }
        let gradient = gradients.get(&x).as_vec();
        vec![("value".into(), value), ("gradient".into(), gradient), ("weights".into(), weights.as_vec())]
    }
}

#[test]
fn losses_and_their_weights() {
    for (batch, side, soft, spoil) in
        [(1, 32, false, false), (2, 64, true, false), (1, 96, false, false), (2, 128, true, false), (2, 32, true, true)]
    {
        for cross_entropy in [ops::CrossEntropy::Weighted, ops::CrossEntropy::Plain] {
            check(&Loss { batch, side, cross_entropy, soft, spoil }, 1e-5);
        }
    }
}

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

fn lent<C: ConstDim, CO: ConstDim, D: Backend>(trunk: &BlockTrunk<C, CO, D>) -> BlockWeights<'_, C, CO, D> {
    BlockWeights {
        norm1: trunk.norm1.weights(),
        qkv: trunk.qkv.weights(),
        proj: trunk.proj.weights(),
        norm2: trunk.norm2.weights(),
        fc1: trunk.fc1.weights(),
        fc2: trunk.fc2.weights(),
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
            ops::adapted_block(x, adapter, lent(&trunk), sizes.attention(), sizes.memory).unwrap()
        })
    }
}

impl<const C: usize, const CO: usize> Case for PoolingBlock<C, CO> {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given {
        let (sizes, trunk) = (self.0, trunk::<Const<C>, Const<CO>, D>(device, how.precision));
        let skip = linear(device, 22, how.precision);
        sizes.run::<C, CO, D>(device, |x, adapter| {
            let attention = sizes.attention();
            ops::pooling_block(x, adapter, lent(&trunk), skip.weights(), attention, sizes.memory).unwrap()
        })
    }
}

/// Checks a block in every precision; gradients of one that pools and was rounded otherwise than its twin tell nothing: which
/// of four a pool takes may change.
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

struct Stem {
    batch: usize,
    side: usize,
}

impl Case for Stem {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let encoder = Sam2UNet::<Pico, D>::from_source(device, &mut Synthetic).unwrap().encoder;
        let values = numbers(self.batch * 3 * self.side * self.side, 1);
        let x = device.tensor_from_vec(values, (self.batch, Const::<3>, self.side, self.side));
        let stem = StemRef {
            weight: &encoder.patch_embed.weight,
            bias: &encoder.patch_embed.bias,
            background: &encoder.pos_embed,
            window: &encoder.pos_embed_window,
        };
        vec![("value".into(), ops::patch_embed(x, stem).unwrap().as_vec())]
    }
}

#[test]
fn stem() {
    for (batch, side) in [(1, 64), (2, 96), (1, 160)] {
        check(&Stem { batch, side }, 2e-5);
    }
}

/// A step of AdamW on the device, from moments that are no zeros.
struct Step;

impl Case for Step {
    fn run<D: Backend>(&self, device: &D, _: How) -> Given {
        let n = 1003;
        let mut w: Tensor<Rank1<1003>, f32, D> = device.tensor_from_vec(numbers(n, 1), Default::default());
        let g: Tensor<Rank1<1003>, f32, D> = device.tensor_from_vec(numbers(n, 2), Default::default());
        let second: Vec<f32> = numbers(n, 4).iter().map(|v| v * v).collect();
        let (mut m, mut v) = (device.store(&numbers(n, 3)).unwrap(), device.store(&second).unwrap());
        let step = AdamWStep {
            keep: 0.999,
            first_new: 0.1,
            second_keep: 0.999,
            second_new: 1e-3,
            second_scale: 0.7,
            epsilon: 1e-8,
            step_size: 0.03,
        };
        let gradient = device.view(&g);
        device
            .renew(&mut w, |k, old, new| {
                k.adamw(&step, old, &gradient, [D::slice_mut(&mut m), D::slice_mut(&mut v)], new)
            })
            .unwrap();
        let numbers = [w.as_vec(), device.fetch(&m).unwrap(), device.fetch(&v).unwrap()];
        ["weight", "first", "second"].map(String::from).into_iter().zip(numbers).collect()
    }
}

#[test]
fn a_step_of_adamw_is_the_cpus_to_the_bit() {
    check(&Step, 0.0);
}

#[test]
fn what_a_card_does_not_multiply_is_not_offered() {
    let Some(device) = gpu() else {
        return;
    };
    for precision in [Precision::Bf16, Precision::Tf32] {
        let options = BuildOptions { precision, ..BuildOptions::default() };
        let model = Sam2UNet::<Pico, Cuda>::with_options(&device, &mut Synthetic, options).unwrap();
        assert_eq!(model.precision(), if device.supports(precision) { precision } else { Precision::F32 });
        assert!(<Cuda as Backend>::Kernels::requires(precision).contains("8.0"));
    }
    if let Ok(capability) = std::env::var("CUDA_STANDIN_CAPABILITY") {
        assert_eq!(device.supports(Precision::Bf16), capability.as_str() >= "8.0");
    }
}
