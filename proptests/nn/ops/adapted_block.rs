//! Blocks behind their adapters.

use super::super::{Dev, cases, device};
use super::block_twin::BlockTwin;
use super::twin::{Got, Plane, bounds, compare, got, map, numbers, wide};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig};
use sam2unet::nn::{BlockTrunk, Frozen, FrozenLinear, FrozenNorm, MemoryUse, Precision};

/// Hidden width of the adapters.
const R: usize = 4;

type Traced<C> = Tensor<Plane<C>, f32, Dev, OwnedTape<f32, Dev>>;
type Trunk<const C: usize, const CO: usize> = BlockTrunk<Const<C>, Const<CO>, Dev>;
type Skip<const C: usize, const CO: usize> = FrozenLinear<Const<C>, Const<CO>, Dev>;

fn freeze<S: ConstShape>(numbers: &[f32], precision: Precision) -> Frozen<S, Dev> {
    Frozen::new(&device(), numbers.to_vec(), precision).unwrap()
}

/// A layer of a weight and a bias.
fn linear_of<I: ConstDim, O: ConstDim>(numbers: &[Vec<f32>], precision: Precision) -> FrozenLinear<I, O, Dev> {
    FrozenLinear { weight: freeze(&numbers[0], precision), bias: freeze(&numbers[1], precision) }
}

/// The sizes of a block under test, and how it computes.
#[derive(Clone, Copy)]
struct BlockCase {
    batch: usize,
    side: usize,
    heads: usize,
    window: usize,
    memory: MemoryUse,
    precision: Precision,
    seed: u64,
}

fn block_case<const C: usize>(case: BlockCase) -> Result<(), TestCaseError> {
    any_block_case::<C, C>(case, |x, adapter, trunk, _, attention, memory| {
        ops::adapted_block(x, adapter, trunk.weights(), attention, memory).unwrap()
    })
}

fn pooling_block_case<const C: usize, const CO: usize>(case: BlockCase) -> Result<(), TestCaseError> {
    any_block_case::<C, CO>(case, |x, adapter, trunk, skip, attention, memory| {
        ops::pooling_block(x, adapter, trunk.weights(), skip.weights(), attention, memory).unwrap()
    })
}

/// A block pools when its channels change.
fn any_block_case<const C: usize, const CO: usize>(
    BlockCase { batch, side, heads, window, memory, precision, seed }: BlockCase,
    run: impl FnOnce(
        Traced<Const<C>>,
        AdapterRef<'_, Const<C>, Const<R>, Dev>,
        &Trunk<C, CO>,
        &Skip<C, CO>,
        AttentionConfig,
        MemoryUse,
    ) -> Traced<Const<CO>>,
) -> Result<(), TestCaseError> {
    let pool = CO != C;
    let out_side = if pool { side / 2 } else { side };
    let device = device();
    let scaled = |n: usize, s: u64, factor: f32| numbers(n, seed + s).iter().map(|v| v * factor).collect::<Vec<f32>>();
    let inputs = vec![
        numbers(batch * side * side * C, seed),
        scaled(R * C, 1, 0.5),
        scaled(R, 2, 0.3),
        scaled(C * R, 3, 0.6),
        scaled(C, 4, 0.3),
    ];
    let gamma = |n: usize, s: u64| scaled(n, s, 0.2).iter().map(|v| v + 1.0).collect::<Vec<f32>>();
    let frozen = [
        gamma(C, 5),
        scaled(C, 6, 0.2),
        scaled(3 * CO * C, 7, 0.8),
        scaled(3 * CO, 8, 0.5),
        scaled(CO * CO, 9, 0.4),
        scaled(CO, 10, 0.2),
        gamma(CO, 11),
        scaled(CO, 12, 0.2),
        scaled(4 * CO * CO, 13, 0.4),
        scaled(4 * CO, 14, 0.2),
        scaled(4 * CO * CO, 15, 0.3),
        scaled(CO, 16, 0.2),
        // the skip path's projection, which only a block that pools has
        scaled(CO * C, 17, 0.5),
        scaled(CO, 18, 0.2),
    ];
    let trunk = Trunk::<C, CO> {
        norm1: FrozenNorm { weight: freeze(&frozen[0], precision), bias: freeze(&frozen[1], precision) },
        qkv: linear_of(&frozen[2..], precision),
        proj: linear_of(&frozen[4..], precision),
        norm2: FrozenNorm { weight: freeze(&frozen[6], precision), bias: freeze(&frozen[7], precision) },
        fc1: linear_of(&frozen[8..], precision),
        fc2: linear_of(&frozen[10..], precision),
    };
    let skip = linear_of(&frozen[12..], precision);
    let x = map::<Const<C>>(&inputs[0], batch, side);
    let down_w: Tensor<Rank2<R, C>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
    let down_b: Tensor<Rank1<R>, f32, Dev> = device.tensor_from_vec(inputs[2].clone(), Default::default());
    let up_w: Tensor<Rank2<C, R>, f32, Dev> = device.tensor_from_vec(inputs[3].clone(), Default::default());
    let up_b: Tensor<Rank1<C>, f32, Dev> = device.tensor_from_vec(inputs[4].clone(), Default::default());
    let adapter = AdapterRef { down: (&down_w, &down_b), up: (&up_w, &up_b) };
    let probe = numbers(batch * out_side * out_side * CO, seed + 30);
    let attention = AttentionConfig { heads, window };
    let y = run(x.leaky_trace(), adapter, &trunk, &skip, attention, memory);
    let got = got!(y, probe, [x, down_w, down_b, up_w, up_b]);
    let twin = BlockTwin {
        side,
        c: C,
        co: CO,
        heads,
        window,
        pool,
        frozen: frozen.iter().map(|w| wide(w)).collect(),
        margin: f64::INFINITY.into(),
    };
    let images = wide(&inputs[0]);
    let adapter: Vec<Vec<f64>> = inputs[1..].iter().map(|w| wide(w)).collect();
    images.chunks_exact(side * side * C).for_each(|x| drop(twin.run(x, &adapter)));
    if twin.margin.get() < 1e-5 {
        return Err(TestCaseError::reject("single precision may take the other number, and its gradient goes there"));
    }
    compare(&got, &inputs, &probe, bounds(precision), |v| {
        v[0].chunks_exact(side * side * C).flat_map(|x| twin.run(x, &v[1..])).collect()
    });
    Ok(())
}

proptest! {
    // a rejected case is replaced by another, but no more than a few
    #![proptest_config(ProptestConfig { max_global_rejects: 12, ..ProptestConfig::with_cases(cases(12)) })]

    #[test]
    fn blocks(
        batch in 1..3usize,
        side in 1..10usize,
        heads in 1..3usize,
        window in 0..6usize,
        keep: bool,
        seed in 0..1000u64,
    ) {
        let memory = if keep { MemoryUse::Balanced } else { MemoryUse::Small };
        let case = BlockCase { batch, side, heads, window, memory, precision: Precision::F32, seed };
        block_case::<8>(case)?;
        // A pooling block's map is even, and so is its window.
        pooling_block_case::<6, 12>(BlockCase { side: 2 * side, window: 2 * window, ..case })?;
        // without a pool, whose gradient jumps
        block_case::<8>(BlockCase { precision: Precision::Bf16, ..case })?;
    }
}
