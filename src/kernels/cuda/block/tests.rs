use super::super::open::tested_gpu;
use super::*;
use crate::nn::backend::Memory;
use dfdx::prelude::*;

/// Output and gradients, with groups of at most this many numbers.
fn run(device: &Cuda, group_numbers: usize, keep: Keep) -> Vec<Vec<f32>> {
    let (batch, side, c, r) = (3, 4, 8, 4);
    let size = BlockSize { batch, side, channels: c, out_channels: c, hidden: r, heads: 2, window: 2, pool: false };
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
            .map(|shape| device.freeze(numbers(shape.iter().product()), &shape, Precision::F32).unwrap())
    };
    let frozen = FrozenBlock {
        norm1: frozen(c, 1),
        qkv: frozen(3 * c, c),
        proj: frozen(c, c),
        norm2: frozen(c, 1),
        fc1: frozen(4 * c, c),
        fc2: frozen(c, 4 * c),
        skip: None,
    };
    let n = batch * side * side * c;
    let mut tensor = |n: usize| device.tensor_from_vec(numbers(n), (n,));
    let (x, gy, adapter) = (tensor(n), tensor(n), [r * c, r, c * r, c].map(&mut tensor));
    let inputs = adapter.each_ref().map(|t| device.view(t));
    let (x, gy, stream) = (device.view(&x), device.view(&gy), address::stream(device).unwrap());
    let mut results = [n, n, r * c, r, c * r, c].map(|n| device.try_alloc_len(n).unwrap());
    let [y, gx, adapter_gradients @ ..] = results.each_mut().map(Cuda::out);
    let mut block = Block::new(&stream, size, inputs.each_ref().map(Slice::from), &frozen).unwrap();
    block.group_numbers = group_numbers;
    assert_eq!(block.groups().count(), if group_numbers == 1 { batch } else { 1 });
    let saved = block.forward((&x).into(), keep, y).unwrap();
    let gradients = BlockGradients { x: gx, adapter: adapter_gradients };
    block.backward((&x).into(), saved, (&gy).into(), gradients).unwrap();
    results.iter().map(|buffer| device.fetch(buffer).unwrap()).collect()
}

#[test]
fn groups_of_maps_give_what_the_whole_batch_gives() {
    let Some(device) = tested_gpu() else {
        return;
    };
    for keep in [Keep::Input, Keep::Attention, Keep::Products] {
        for (whole, parts) in run(&device, GROUP_NUMBERS, keep).iter().zip(run(&device, 1, keep)) {
            let largest = whole.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            assert!(largest > 0.0);
            assert!(whole.iter().zip(parts).all(|(a, b)| (a - b).abs() <= 1e-5 * largest));
        }
    }
}
