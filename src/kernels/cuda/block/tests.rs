use super::super::open::tested_gpu;
use super::*;
use crate::kernels::adapted_block::AttentionConfig;
use crate::kernels::device::Device;
use crate::kernels::extent::Extent;

/// Output and gradients, with groups of at most this many numbers.
fn run(gpu: &Gpu, group_numbers: usize, keep: MemoryUse) -> Vec<Vec<f32>> {
    let (batch, c, r) = (3, 8, 4);
    let attention = AttentionConfig { heads: 2, window: 2 };
    let map = Extent::square(4);
    let size = BlockSize { batch, map, channels: c, out_channels: c, hidden: r, attention, pool: false };
    let mut seed = 1u32;
    let mut numbers = |n: usize| -> Vec<f32> {
        let mut draw = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| draw()).collect()
    };
    let mut frozen = |out: usize, inputs: usize| {
        [vec![out, inputs], vec![out]]
            .map(|shape| gpu.freeze(numbers(shape.iter().product()), &shape, Precision::F32).unwrap())
    };
    let frozen = BlockBuffers {
        norm1: frozen(c, 1),
        qkv: frozen(3 * c, c),
        proj: frozen(c, c),
        norm2: frozen(c, 1),
        fc1: frozen(4 * c, c),
        fc2: frozen(c, 4 * c),
        skip: None,
    };
    let n = batch * map.area() * c;
    let mut put = |n: usize| gpu.uninit(n, |y| gpu.upload(&numbers(n), y)).unwrap();
    let (x, gy, adapter) = (put(n), put(n), [r * c, r, c * r, c].map(&mut put));
    let mut results = [n, n, r * c, r, c * r, c].map(|n| gpu.device().alloc_zeros::<f32>(n).unwrap());
    let [y, gx, adapter_gradients @ ..] = results.each_mut().map(SliceMut::from);
    let mut block = Block::new(gpu, size, adapter.each_ref().map(Slice::from), &frozen).unwrap();
    block.group_numbers = group_numbers;
    assert_eq!(block.groups().count(), if group_numbers == 1 { batch } else { 1 });
    let saved = block.forward((&x).into(), keep, y).unwrap();
    let gradients = BlockGradients { x: gx, adapter: adapter_gradients };
    block.backward((&x).into(), saved, (&gy).into(), gradients).unwrap();
    results.iter().map(|numbers| gpu.device().dtoh_sync_copy(numbers).unwrap()).collect()
}

#[test]
fn groups_of_maps_give_what_the_whole_batch_gives() {
    let Some(gpu) = tested_gpu() else {
        return;
    };
    for keep in [MemoryUse::Small, MemoryUse::Balanced, MemoryUse::Fast] {
        for (whole, parts) in run(&gpu, GROUP_NUMBERS, keep).iter().zip(run(&gpu, 1, keep)) {
            let largest = whole.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            assert!(largest > 0.0);
            assert!(whole.iter().zip(parts).all(|(a, b)| (a - b).abs() <= 1e-5 * largest));
        }
    }
}
