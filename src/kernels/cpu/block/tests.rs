//! Blocks against a plain loop in double precision, on maps that are not square too.

use super::state::{Block, BlockGradients};
use crate::kernels::adapted_block::BlockBuffers;
use crate::kernels::adapted_block::{AttentionConfig, BlockSize};
use crate::kernels::cpu::device::FrozenWeight;
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::test_numbers::numbers;
use crate::kernels::cpu::vector::tests::erf_f64;
use crate::kernels::extent::Extent;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use std::io::Write;
use std::sync::Arc;

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

fn small(n: usize, seed: u32) -> Vec<f32> {
    numbers(n, seed).iter().map(|v| 0.5 * v).collect()
}

/// A linear layer's weight `(out, in)` and bias.
type Linear = [Vec<f32>; 2];

fn linear_layer(outputs: usize, inputs: usize, seed: u32) -> Linear {
    [small(outputs * inputs, seed), small(outputs, seed + 50)]
}

/// All frozen weights as numbers: two norms, then qkv, proj, fc1, fc2, skip.
struct Weights {
    norms: [[Vec<f32>; 2]; 2],
    layers: [Linear; 4],
    skip: Option<Linear>,
}

impl Weights {
    fn new(s: &BlockSize) -> Self {
        let (c, co) = (s.channels, s.out_channels);
        let norm = |n: usize, seed: u32| [small(n, seed).iter().map(|v| 1.0 + v).collect(), small(n, seed + 50)];
        let layers = [(3 * co, c, 3), (co, co, 4), (4 * co, co, 5), (co, 4 * co, 6)];
        Self {
            norms: [norm(c, 1), norm(co, 2)],
            layers: layers.map(|(outputs, inputs, seed)| linear_layer(outputs, inputs, seed)),
            skip: s.pool.then(|| linear_layer(co, c, 7)),
        }
    }

    fn frozen(&self) -> BlockBuffers<Arc<FrozenWeight>> {
        self.frozen_in(Precision::F32)
    }

    fn frozen_in(&self, precision: Precision) -> BlockBuffers<Arc<FrozenWeight>> {
        let numbers = |v: &[f32]| Arc::new(FrozenWeight::Values(v.to_vec()));
        let norm = |[gamma, beta]: &[Vec<f32>; 2]| [numbers(gamma), numbers(beta)];
        let layer = |[weight, bias]: &Linear| {
            let inputs = weight.len() / bias.len();
            [Arc::new(FrozenWeight::Packed(Packed::frozen(weight, inputs, precision))), numbers(bias)]
        };
        let [qkv, proj, fc1, fc2] = self.layers.each_ref().map(layer);
        let [norm1, norm2] = self.norms.each_ref().map(norm);
        BlockBuffers { norm1, qkv, proj, norm2, fc1, fc2, skip: self.skip.as_ref().map(layer) }
    }
}

fn linear(x: &[f64], [weight, bias]: [&[f64]; 2]) -> Vec<f64> {
    let (inputs, outputs) = (weight.len() / bias.len(), bias.len());
    let row = |x: &[f64], o: usize| bias[o] + x.iter().zip(&weight[o * inputs..]).map(|(x, w)| x * w).sum::<f64>();
    x.chunks(inputs).flat_map(|x| (0..outputs).map(|o| row(x, o)).collect::<Vec<_>>()).collect()
}

fn frozen_linear(x: &[f64], layer: &Linear) -> Vec<f64> {
    let [weight, bias] = layer.each_ref().map(|v| wide(v));
    linear(x, [&weight, &bias])
}

fn gelu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| 0.5 * x * (1.0 + erf_f64(x / std::f64::consts::SQRT_2))).collect()
}

fn norm(x: &[f64], [gamma, beta]: &[Vec<f32>; 2]) -> Vec<f64> {
    let normed = |x: &[f64]| {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let row = x.iter().zip(gamma.iter().zip(beta));
        row.map(|(v, (g, b))| (v - mean) / (variance + 1e-6).sqrt() * f64::from(*g) + f64::from(*b)).collect::<Vec<_>>()
    };
    x.chunks(gamma.len()).flat_map(normed).collect()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// 2x2 max pool of one map whose rows of `row` numbers hold `c` of them from `at` on.
fn pool(x: &[f64], Extent { height, width }: Extent, row: usize, at: usize, c: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for (i, j) in (0..height / 2).flat_map(|i| (0..width / 2).map(move |j| (i, j))) {
        for ch in 0..c {
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)];
            let four = four.map(|(di, dj)| x[((2 * i + di) * width + 2 * j + dj) * row + at + ch]);
            y.push(four.into_iter().fold(f64::NEG_INFINITY, f64::max));
        }
    }
    y
}

/// Attention of one map from rows `(query, key, value)`; padded tokens have the row `bias`.
fn attention(s: &BlockSize, qkv: &[f64], bias: &[f64]) -> Vec<f64> {
    let (c, d, Extent { height, width }) = (s.out_channels, s.out_channels / s.attention.heads, s.map);
    let [lines, columns] = if s.attention.window == 0 { [height, width] } else { [s.attention.window; 2] };
    let step = if s.pool { 2 } else { 1 };
    let queries = match s.pool {
        true => pool(qkv, s.map, 3 * c, 0, c),
        false => qkv.chunks(3 * c).flat_map(|row| row[..c].to_vec()).collect(),
    };
    let mut out = vec![0.0; queries.len()];
    for (token, (query, out)) in queries.chunks(c).zip(out.chunks_mut(c)).enumerate() {
        let (y, x) = (token / (width / step) * step, token % (width / step) * step);
        let (y0, x0) = (y / lines * lines, x / columns * columns);
        let rows: Vec<&[f64]> = (y0..y0 + lines)
            .flat_map(|y| (x0..x0 + columns).map(move |x| (y, x)))
            .map(|(y, x)| if y < height && x < width { &qkv[(y * width + x) * 3 * c..][..3 * c] } else { bias })
            .collect();
        for head in (0..c).step_by(d) {
            let dot = |row: &[f64]| (0..d).map(|i| query[head + i] * row[c + head + i]).sum::<f64>();
            let e: Vec<f64> = rows.iter().map(|row| (dot(row) / (d as f64).sqrt()).exp()).collect();
            for i in 0..d {
                let sum: f64 = e.iter().zip(&rows).map(|(e, row)| e * row[2 * c + head + i]).sum();
                out[head + i] = sum / e.iter().sum::<f64>();
            }
        }
    }
    out
}

/// The reference implementation of a whole block.
fn twin(s: &BlockSize, x: &[f64], [down, down_bias, up, up_bias]: [&[f64]; 4], w: &Weights) -> Vec<f64> {
    let [qkv, proj, fc1, fc2] = &w.layers;
    let one_map = |x: &[f64]| {
        let z = add(x, &gelu(&linear(&gelu(&linear(x, [down, down_bias])), [up, up_bias])));
        let normed = norm(&z, &w.norms[0]);
        let skip = match &w.skip {
            Some(layer) => pool(&frozen_linear(&normed, layer), s.map, s.out_channels, 0, s.out_channels),
            None => z,
        };
        let attended = attention(s, &frozen_linear(&normed, qkv), &wide(&qkv[1]));
        let a = add(&skip, &frozen_linear(&attended, proj));
        add(&a, &frozen_linear(&gelu(&frozen_linear(&norm(&a, &w.norms[1]), fc1)), fc2))
    };
    x.chunks(s.map.area() * s.channels).flat_map(one_map).collect()
}

fn agrees_with_the_plain_twin(shape: BlockSize) {
    let (c, r, tokens) = (shape.channels, shape.hidden, shape.batch * shape.map.area());
    let weights = Weights::new(&shape);
    let frozen = weights.frozen();
    let inputs = [numbers(tokens * c, 10), small(r * c, 11), small(r, 12), small(c * r, 13), small(c, 14)];
    let wide_inputs = inputs.each_ref().map(|v| wide(v));
    let of = |v: &[Vec<f64>; 5]| twin(&shape, &v[0], [&v[1], &v[2], &v[3], &v[4]], &weights);
    let want = of(&wide_inputs);
    let gy = numbers(want.len(), 15);
    let loss = |v: &[Vec<f64>; 5]| of(v).iter().zip(&gy).map(|(y, g)| y * f64::from(*g)).sum::<f64>();
    // The loss's slopes along some directions in each input: one through all of its numbers, and through single ones.
    let mut slopes = Vec::new();
    for (input, values) in inputs.iter().enumerate() {
        let n = values.len();
        let single = (0..4).map(|i| (i * 7919 + 3) % n).map(|at| {
            let mut direction = vec![0.0; n];
            direction[at] = 1.0;
            direction
        });
        for direction in std::iter::once(wide(&numbers(n, 20 + input as u32))).chain(single) {
            let moved = |step: f64| {
                let mut moved = wide_inputs.clone();
                moved[input].iter_mut().zip(&direction).for_each(|(v, d)| *v += step * d);
                loss(&moved)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            slopes.push((input, direction, slope));
        }
    }
    for keep in [MemoryUse::Small, MemoryUse::Balanced, MemoryUse::Fast] {
        let what = format!("{shape:?} {keep:?}");
        let [x, down, down_bias, up, up_bias] = inputs.each_ref().map(|v| v.as_slice());
        let block = || Block::new(shape, [down, down_bias, up, up_bias], &frozen);
        let mut y = vec![f32::NAN; want.len()];
        let saved = block().forward(x, keep, &mut y);
        for (i, (y, w)) in y.iter().zip(&want).enumerate() {
            assert!((f64::from(*y) - w).abs() < 2e-5 * (1.0 + w.abs()), "{what}, number {i}: {y}, twin {w}");
        }
        let mut gradients = inputs.each_ref().map(|v| vec![0.25; v.len()]);
        let [gx, adapter @ ..] = gradients.each_mut().map(|g| g.as_mut_slice());
        block().backward(x, saved, &gy, BlockGradients { x: gx, adapter });
        for (input, direction, slope) in &slopes {
            let got: f64 = gradients[*input].iter().zip(direction).map(|(g, d)| (f64::from(*g) - 0.25) * d).sum();
            assert!((got - slope).abs() < 2e-4 * (1.0 + slope.abs()), "{what}, input {input}: {got}, twin {slope}");
        }
    }
}

#[test]
fn blocks_agree_with_the_plain_twin_on_maps_of_any_size() {
    let case = |(height, width), window, pool, channels, out_channels, heads| BlockSize {
        batch: 2,
        map: Extent { height, width },
        channels,
        out_channels,
        hidden: 3,
        attention: AttentionConfig { heads, window },
        pool,
    };
    agrees_with_the_plain_twin(case((8, 8), 4, false, 8, 8, 2));
    // padded to the right and below
    agrees_with_the_plain_twin(case((6, 10), 4, false, 8, 8, 2));
    agrees_with_the_plain_twin(case((5, 7), 3, false, 6, 6, 1));
    agrees_with_the_plain_twin(case((5, 7), 0, false, 6, 6, 2));
    agrees_with_the_plain_twin(case((6, 10), 4, true, 6, 8, 2));
    agrees_with_the_plain_twin(case((10, 6), 4, true, 4, 6, 1));
    agrees_with_the_plain_twin(case((6, 10), 0, true, 4, 8, 2));
}

#[test]
fn a_block_by_windows_has_the_bits_of_its_steps_over_whole_maps() {
    let cases = [
        // many tasks; padded windows; few tasks, whose windows are not alike; whole maps; windows of a few tokens
        (1, (40, 40), 8, [16, 16], 2),
        (2, (20, 22), 8, [48, 48], 2),
        (1, (22, 22), 14, [144, 144], 2),
        (3, (14, 15), 0, [32, 32], 1),
        (2, (24, 17), 4, [32, 32], 4),
        // and with a pool
        (1, (40, 40), 8, [16, 32], 2),
        (2, (20, 22), 8, [48, 96], 2),
        (1, (22, 22), 14, [144, 288], 4),
        (2, (24, 18), 4, [32, 64], 4),
    ];
    for (batch, (height, width), window, [channels, out_channels], heads) in cases {
        let pool = channels != out_channels;
        let shape = BlockSize {
            batch,
            map: Extent { height, width },
            channels,
            out_channels,
            hidden: 32,
            attention: AttentionConfig { heads, window },
            pool,
        };
        let weights = Weights::new(&shape).frozen_in(Precision::Bf16);
        let (c, r, tokens) = (channels, 32, batch * height * width);
        let [x, down, down_bias, up, up_bias] =
            [numbers(tokens * c, 10), small(r * c, 11), small(r, 12), small(c * r, 13), small(c, 14)];
        for threads in 1..5 {
            let workers = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (tasks, [by_window, by_step]) = workers.install(|| {
                let block = Block::new(shape, [&down, &down_bias, &up, &up_bias], &weights);
                let of = |memory| {
                    let mut y = vec![f32::NAN; shape.lengths()[1]];
                    block.forward(&x, memory, &mut y);
                    y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                // what the backward pass needs is saved: step by step
                (block.window_tasks(), [MemoryUse::Small, MemoryUse::Balanced].map(of))
            });
            if !weights.qkv[0].packed().takes_tiles() {
                // not `eprintln`, which the test harness keeps to itself while tests pass
                let _ = writeln!(std::io::stderr(), "SKIPPED: AMX is emulated for products alone, not for blocks");
                return;
            }
            let wanted = threads == 1 || threads == 2 && window > 0;
            assert!(tasks.is_some() || !wanted, "{shape:?}, {threads} threads: not by windows");
            assert!(by_window == by_step, "{shape:?}, {threads} threads: other bits");
        }
    }
}

/// Rows whose width is no whole number of steps stand side by side: what is no number in one must not reach the other.
#[test]
fn an_image_that_is_no_number_leaves_the_others_of_its_batch_alone_by_windows() {
    for (channels, out_channels) in [(144, 144), (16, 48), (16, 96), (48, 48)] {
        let pool = channels != out_channels;
        let attention = AttentionConfig { heads: 2, window: 4 };
        let map = Extent::square(16);
        let shape = BlockSize { batch: 2, map, channels, out_channels, hidden: 32, attention, pool };
        let weights = Weights::new(&shape).frozen_in(Precision::Bf16);
        if !weights.qkv[0].packed().takes_tiles() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: AMX is emulated for products alone, not for blocks");
            return;
        }
        let half = map.area() * channels;
        let [mut x, down, down_bias, up, up_bias] = [
            numbers(2 * half, 10),
            small(32 * channels, 11),
            small(32, 12),
            small(channels * 32, 13),
            small(channels, 14),
        ];
        x[half..].fill(f32::NAN);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let y = one_thread.install(|| {
            let block = Block::new(shape, [&down, &down_bias, &up, &up_bias], &weights);
            assert!(block.window_tasks().is_some());
            let mut y = vec![0.0; shape.lengths()[1]];
            block.forward(&x, MemoryUse::Small, &mut y);
            y
        });
        let (first, second) = y.split_at(y.len() / 2);
        assert!(first.iter().all(|y| y.is_finite()) && second.iter().all(|y| y.is_nan()), "{shape:?}");
    }
}

#[test]
fn nothing_is_saved_where_memory_is_to_be_small() {
    for (precision, pool) in [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| [(p, false), (p, true)]) {
        let attention = AttentionConfig { heads: 2, window: 4 };
        let (map, out_channels) = (Extent::square(48), if pool { 32 } else { 16 });
        let shape = BlockSize { batch: 3, map, channels: 16, out_channels, hidden: 16, attention, pool };
        let weights = Weights::new(&shape).frozen_in(precision);
        let [x, down, down_bias, up, up_bias] =
            [numbers(shape.lengths()[0], 10), small(256, 11), small(16, 12), small(256, 13), small(16, 14)];
        let block = Block::new(shape, [&down, &down_bias, &up, &up_bias], &weights);
        let saved = |memory| block.forward(&x, memory, &mut vec![0.0; shape.lengths()[1]]).0;
        let kept = saved(MemoryUse::Balanced);
        assert!(kept.iter().all(|group| group.a.is_some() && group.qkv.is_some() != pool));
        let small = saved(MemoryUse::Small);
        assert!(small.iter().all(|group| group.a.is_none() && group.qkv.is_none() && group.hidden.is_none()));
        assert_eq!(small.len(), kept.len(), "an entry for each group of maps");
        assert!(kept.len() > 1);
    }
}
