//! Every operation against its plain twin in double precision: its values, and its gradients as differences of
//! the twin along random directions, over random shapes.

use super::{Dev, cases, device};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::ops::{self, AdapterRef, AttentionConfig, BlockWeights, ConvOptions};
use sam2unet::nn::{Backend, BlockTrunk, Const, Frozen, FrozenLinear, FrozenNorm, MemoryUse, Precision};

/// Numbers in -1..1 from a seed.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    for _ in 0..8 {
        draw();
    }
    (0..n).map(|_| draw()).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

/// What the operation under test gave: values, and the gradient of `sum(values * probe)` for each input.
struct Got {
    y: Vec<f32>,
    gradients: Vec<Vec<f32>>,
}

/// Compares with the twin: values within the first bound of the largest, gradients within the second.
fn compare(
    got: &Got,
    inputs: &[Vec<f32>],
    probe: &[f32],
    [value_bound, gradient_bound]: [f64; 2],
    twin: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let wide_inputs: Vec<Vec<f64>> = inputs.iter().map(|x| wide(x)).collect();
    let want = twin(&wide_inputs);
    assert_eq!(got.y.len(), want.len());
    let largest = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (i, (y, w)) in got.y.iter().zip(&want).enumerate() {
        assert!((f64::from(*y) - w).abs() < value_bound * largest, "value {i}: {y}, twin {w}");
    }
    let f = |x: &[Vec<f64>]| twin(x).iter().zip(probe).map(|(y, p)| y * f64::from(*p)).sum::<f64>();
    for (k, gradient) in got.gradients.iter().enumerate() {
        assert_eq!(gradient.len(), inputs[k].len());
        for trial in 0..3 {
            let direction = wide(&numbers(gradient.len(), 1000 + 10 * k as u64 + trial));
            let moved = |step: f64| {
                let mut x = wide_inputs.clone();
                x[k].iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
                f(&x)
            };
            let step = 1e-6;
            let want = (moved(step) - moved(-step)) / (2.0 * step);
            let terms: Vec<f64> = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).collect();
            let (sum, scale) = (terms.iter().sum::<f64>(), terms.iter().map(|t| t * t).sum::<f64>().sqrt());
            let bound = gradient_bound * (want.abs() + scale + 1e-3);
            assert!((sum - want).abs() < bound, "gradient of input {k}: {sum}, twin {want}");
        }
    }
}

type Plane<C> = (usize, usize, usize, C);

fn map<C: ConstDim>(values: &[f32], batch: usize, side: usize) -> Tensor<Plane<C>, f32, Dev> {
    device().tensor_from_vec(values.to_vec(), (batch, side, side, C::default()))
}

/// Runs the backward pass of `sum(y * probe)` and collects the inputs' gradients.
macro_rules! got {
    ($y:expr, $probe:expr, [$($x:expr),*]) => {{
        let y = $y;
        let shape = *y.shape();
        let values = { let mut v = vec![0.0; shape.num_elements()]; y.copy_into(&mut v); v };
        let probe = device().tensor_from_vec($probe.to_vec(), shape);
        let gradients = (y * probe).sum::<Rank0, _>().backward();
        Got { y: values, gradients: vec![$({
            let g = gradients.get(&$x);
            let mut v = vec![0.0; g.shape().num_elements()];
            g.copy_into(&mut v);
            v
        }),*] }
    }};
}

/// Direct convolution, weight `(co, c, kh, kw)`.
fn conv_twin(x: &[f64], w: &[f64], b: &[f64], [batch, h, c, co, kh, kw, d]: [usize; 7]) -> Vec<f64> {
    let mut y = vec![0.0; batch * h * h * co];
    for (i, y) in y.iter_mut().enumerate() {
        let (o, px, py, n) = (i % co, i / co % h, i / co / h % h, i / co / h / h);
        *y = b[o];
        for ky in 0..kh {
            for kx in 0..kw {
                let yy = (py + d * ky).wrapping_sub(d * (kh / 2));
                let xx = (px + d * kx).wrapping_sub(d * (kw / 2));
                if yy < h && xx < h {
                    for ch in 0..c {
                        *y += x[((n * h + yy) * h + xx) * c + ch] * w[((o * c + ch) * kh + ky) * kw + kx];
                    }
                }
            }
        }
    }
    y
}

/// What [`compare`] holds products of factors in this precision to. The twin's are not rounded: each of bf16's is by up to
/// 2^-9, and sums of such products differ by about a hundredth of the largest.
fn bounds(precision: Precision) -> [f64; 2] {
    match precision {
        Precision::F32 | Precision::Tf32 => [2e-5, 2e-3],
        // the twin rounds nothing: of 400 seeds of one small block the worst is 1.6e-2 and 5.3e-2 off (medians 5e-3 and 3e-3),
        // and another may be worse; a term left out shows as more than this
        Precision::Bf16 => [3e-2, 1e-1],
    }
}

fn conv_case<const KH: usize, const KW: usize>(
    batch: usize,
    h: usize,
    dilation: usize,
    relu: bool,
    precision: Precision,
    seed: u64,
) {
    const C: usize = 5;
    const CO: usize = 3;
    let inputs = [numbers(batch * h * h * C, seed), numbers(CO * C * KH * KW, seed + 1), numbers(CO, seed + 2)];
    let device = device();
    let x = map::<Const<C>>(&inputs[0], batch, h);
    let w: Tensor<Rank4<CO, C, KH, KW>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
    let b: Tensor<Rank1<CO>, f32, Dev> = device.tensor_from_vec(inputs[2].clone(), Default::default());
    let probe = numbers(batch * h * h * CO, seed + 3);
    let y: Tensor<Plane<Const<CO>>, f32, Dev, _> =
        ops::conv2d(x.leaky_trace(), &w, Some(&b), dilation, relu, precision).unwrap();
    let got = got!(y, probe, [x, w, b]);
    compare(&got, &inputs, &probe, bounds(device.computes_in(precision)), |v| {
        let mut y = conv_twin(&v[0], &v[1], &v[2], [batch, h, C, CO, KH, KW, dilation]);
        if relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        y
    });
}

/// Bilinear interpolation of a square map `(h, h)` at a point.
fn bilinear_twin(at: impl Fn(usize, usize) -> f64, h: usize, y: f64, x: f64) -> f64 {
    let (y0, x0) = (y.floor().min((h - 1) as f64), x.floor().min((h - 1) as f64));
    let (fy, fx) = (y - y0, x - x0);
    let (y0, x0) = (y0 as usize, x0 as usize);
    let (y1, x1) = ((y0 + 1).min(h - 1), (x0 + 1).min(h - 1));
    (1.0 - fy) * ((1.0 - fx) * at(y0, x0) + fx * at(y0, x1)) + fy * ((1.0 - fx) * at(y1, x0) + fx * at(y1, x1))
}

/// The error function by its series and, far out, its continued fraction (Abramowitz and Stegun 7.1.5, 7.1.14).
fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let f = (1..60).rev().fold(x.abs(), |f, n| x.abs() + f64::from(n) / 2.0 / f);
        x.signum() * (1.0 - (-x * x).exp() / f / std::f64::consts::PI.sqrt())
    }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// Rows of `x` times a weight `(out, in)`, plus a bias.
fn linear(x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let (inputs, outputs) = (w.len() / b.len(), b.len());
    let rows = x.chunks_exact(inputs);
    rows.flat_map(|row| {
        (0..outputs)
            .map(|o| b[o] + row.iter().zip(&w[o * inputs..]).map(|(x, w)| x * w).sum::<f64>())
            .collect::<Vec<_>>()
    })
    .collect()
}

fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let n = gamma.len();
    let rows = x.chunks_exact(n);
    rows.flat_map(|row| {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        let scaled = row.iter().zip(gamma).zip(beta);
        scaled.map(|((v, g), b)| (v - mean) / (variance + 1e-6).sqrt() * g + b).collect::<Vec<_>>()
    })
    .collect()
}

/// A Hiera block as the reference has it: padding laid out, masked nowhere.
struct BlockTwin {
    side: usize,
    c: usize,
    co: usize,
    heads: usize,
    window: usize,
    pool: bool,
    frozen: Vec<Vec<f64>>,
    /// The least distance between a pool's largest number and another one.
    margin: std::cell::Cell<f64>,
}

impl BlockTwin {
    fn pool(&self, x: &[f64], h: usize, c: usize) -> Vec<f64> {
        let half = h / 2;
        (0..half * half * c)
            .map(|i| {
                let (ch, px, py) = (i % c, i / c % half, i / c / half);
                let at = |dy: usize, dx: usize| x[((2 * py + dy) * h + 2 * px + dx) * c + ch];
                let four = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
                let largest = four.into_iter().fold(f64::NEG_INFINITY, f64::max);
                // padded tokens are equal, and which of them is taken does not matter
                let others = four.into_iter().filter(|v| *v != largest);
                self.margin.set(others.fold(self.margin.get(), |least, v| least.min(largest - v)));
                largest
            })
            .collect()
    }

    /// Attention over one padded window of `w x w` rows of `c` numbers.
    fn attend(&self, x: &[f64], w: usize) -> Vec<f64> {
        let (co, d) = (self.co, self.co / self.heads);
        let qkv = linear(x, &self.frozen[2], &self.frozen[3]);
        let part = |k: usize| -> Vec<f64> {
            qkv.chunks_exact(3 * co).flat_map(|row| row[k * co..(k + 1) * co].to_vec()).collect()
        };
        let (mut q, k, v) = (part(0), part(1), part(2));
        if self.pool {
            q = self.pool(&q, w, co);
        }
        let mut out = vec![0.0; q.len()];
        for head in 0..self.heads {
            for (q, out) in q.chunks_exact(co).zip(out.chunks_exact_mut(co)) {
                let span = head * d..(head + 1) * d;
                let scores: Vec<f64> = k
                    .chunks_exact(co)
                    .map(|k| {
                        q[span.clone()].iter().zip(&k[span.clone()]).map(|(q, k)| q * k).sum::<f64>()
                            / (d as f64).sqrt()
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, v) in weights.iter().zip(v.chunks_exact(co)) {
                    for (o, v) in out[span.clone()].iter_mut().zip(&v[span.clone()]) {
                        *o += weight / total * v;
                    }
                }
            }
        }
        linear(&out, &self.frozen[4], &self.frozen[5])
    }

    fn run(&self, x: &[f64], adapter: &[Vec<f64>]) -> Vec<f64> {
        let (h, c, co) = (self.side, self.c, self.co);
        let hidden: Vec<f64> = linear(x, &adapter[0], &adapter[1]).into_iter().map(gelu).collect();
        let up: Vec<f64> = linear(&hidden, &adapter[2], &adapter[3]).into_iter().map(gelu).collect();
        let z: Vec<f64> = x.iter().zip(&up).map(|(x, u)| x + u).collect();
        let normed = layer_norm(&z, &self.frozen[0], &self.frozen[1]);
        let mut a = if self.pool { self.pool(&linear(&normed, &self.frozen[12], &self.frozen[13]), h, co) } else { z };
        let w = if self.window == 0 { h } else { self.window };
        let (windows, stride) = (h.div_ceil(w), if self.pool { 2 } else { 1 });
        let out_side = h / stride;
        for window in 0..windows * windows {
            let (y0, x0) = (window / windows * w, window % windows * w);
            let mut padded = vec![0.0; w * w * c];
            for i in 0..w * w {
                let (y, x) = (y0 + i / w, x0 + i % w);
                if y < h && x < h {
                    padded[i * c..(i + 1) * c].copy_from_slice(&normed[(y * h + x) * c..][..c]);
                }
            }
            let out = self.attend(&padded, w);
            let ow = w / stride;
            for i in 0..ow * ow {
                let (y, x) = (y0 / stride + i / ow, x0 / stride + i % ow);
                if y < out_side && x < out_side {
                    for ch in 0..co {
                        a[(y * out_side + x) * co + ch] += out[i * co + ch];
                    }
                }
            }
        }
        let normed = layer_norm(&a, &self.frozen[6], &self.frozen[7]);
        let hidden: Vec<f64> = linear(&normed, &self.frozen[8], &self.frozen[9]).into_iter().map(gelu).collect();
        let mlp = linear(&hidden, &self.frozen[10], &self.frozen[11]);
        a.iter().zip(mlp).map(|(a, m)| a + m).collect()
    }
}

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

fn lent<const C: usize, const CO: usize>(trunk: &Trunk<C, CO>) -> BlockWeights<'_, Const<C>, Const<CO>, Dev> {
    BlockWeights {
        norm1: trunk.norm1.weights(),
        qkv: trunk.qkv.weights(),
        proj: trunk.proj.weights(),
        norm2: trunk.norm2.weights(),
        fc1: trunk.fc1.weights(),
        fc2: trunk.fc2.weights(),
    }
}

fn block_case<const C: usize>(case: BlockCase) {
    any_block_case::<C, C>(case, |x, adapter, trunk, _, attention, memory| {
        ops::adapted_block(x, adapter, lent(trunk), attention, memory).unwrap()
    });
}

fn pooling_block_case<const C: usize, const CO: usize>(case: BlockCase) {
    any_block_case::<C, CO>(case, |x, adapter, trunk, skip, attention, memory| {
        ops::pooling_block(x, adapter, lent(trunk), skip.weights(), attention, memory).unwrap()
    });
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
) {
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
        return; // single precision may take the other number, and its gradient goes there
    }
    compare(&got, &inputs, &probe, bounds(precision), |v| {
        v[0].chunks_exact(side * side * C).flat_map(|x| twin.run(x, &v[1..])).collect()
    });
}

/// A 1x1 convolution with batch norm of a map whose mean dwarfs its spread: the two operations one after the other
/// would lose three digits here.
fn centred_conv_batch_norm_case(batch: usize, h: usize, relu: bool, memory: MemoryUse, seed: u64) {
    const C: usize = 5;
    const CO: usize = 6;
    let (device, rows) = (device(), batch * h * h);
    let far: Vec<f32> = numbers(rows * C, seed).iter().enumerate().map(|(i, v)| v + 3000.0 * (i % C) as f32).collect();
    let inputs = [far, numbers(CO * C, seed + 1), numbers(CO, seed + 2), numbers(CO, seed + 3)];
    let x = map::<Const<C>>(&inputs[0], batch, h);
    let w: Tensor<Rank4<CO, C, 1, 1>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
    let [scale, bias]: [Tensor<Rank1<CO>, f32, Dev>; 2] =
        [2, 3].map(|i: usize| device.tensor_from_vec(inputs[i].clone(), Default::default()));
    let probe = numbers(rows * CO, seed + 4);
    let options = ConvOptions { dilation: 1, relu, precision: Precision::F32, memory };
    let (y, [mean, variance]) = ops::conv_norm(x.leaky_trace(), &w, [&scale, &bias], options).unwrap();
    let got = got!(y, probe, [x, w, scale, bias]);
    let between = |x: &[f64], w: &[f64]| conv_twin(x, w, &[0.0; CO], [batch, h, C, CO, 1, 1, 1]);
    let moments = |u: &[f64], ch: usize| {
        let column: Vec<f64> = u.iter().skip(ch).step_by(CO).copied().collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        (mean, column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64)
    };
    let u = between(&wide(&inputs[0]), &wide(&inputs[1]));
    for (ch, (mean, variance)) in mean.as_vec().into_iter().zip(variance.as_vec()).enumerate() {
        let (m, v) = moments(&u, ch);
        // rounded where the terms of the sum are rounded, which may cancel
        let terms: f64 = (0..C).map(|i| f64::from(inputs[1][ch * C + i]).abs() * (3000 * i) as f64).sum();
        assert!((f64::from(mean) - m).abs() < 3e-7 * terms, "mean {mean}, twin {m}");
        let unbiased = v * rows as f64 / (rows - 1) as f64;
        assert!((f64::from(variance) / unbiased - 1.0).abs() < 1e-4, "variance {variance}, twin {unbiased}");
    }
    compare(&got, &inputs, &probe, [2e-5, 2e-3], |v| {
        let u = between(&v[0], &v[1]);
        let moments: Vec<_> = (0..CO).map(|ch| moments(&u, ch)).collect();
        let y = u.iter().enumerate().map(|(i, u)| {
            let ((m, s), ch) = (moments[i % CO], i % CO);
            (u - m) / (s + 1e-5).sqrt() * v[2][ch] + v[3][ch]
        });
        y.map(|y| if relu { y.max(0.0) } else { y }).collect()
    });
}

/// The plain twin is the two operations one after the other: not one bit may differ.
fn conv_batch_norm_twin<const KH: usize, const KW: usize>(
    batch: usize,
    h: usize,
    dilation: usize,
    relu: bool,
    seed: u64,
) {
    const C: usize = 5;
    const CO: usize = 6;
    let device = device();
    let x = map::<Const<C>>(&numbers(batch * h * h * C, seed), batch, h);
    let w = numbers(CO * C * KH * KW, seed + 1);
    let w: Tensor<Rank4<CO, C, KH, KW>, f32, Dev> = device.tensor_from_vec(w, Default::default());
    let [scale, bias]: [Tensor<Rank1<CO>, f32, Dev>; 2] =
        [2, 3].map(|i| device.tensor_from_vec(numbers(CO, seed + i), Default::default()));
    let probe = numbers(batch * h * h * CO, seed + 4);
    let got = |memory| {
        let options = ConvOptions { dilation, relu, precision: Precision::F32, memory };
        let (y, statistics) = ops::conv_norm(x.leaky_trace(), &w, [&scale, &bias], options).unwrap();
        (got!(y, probe, [x, w, scale, bias]), statistics.map(|s| s.as_vec()))
    };
    let want = {
        let u = ops::conv2d(x.leaky_trace(), &w, None, dilation, false, Precision::F32).unwrap();
        let (y, statistics) = ops::batch_norm(u, &scale, &bias, relu).unwrap();
        (got!(y, probe, [x, w, scale, bias]), statistics.map(|s| s.as_vec()))
    };
    for got in [MemoryUse::Small, MemoryUse::Balanced].map(got) {
        assert_eq!(got.1, want.1);
        assert_eq!(got.0.y, want.0.y);
        assert_eq!(got.0.gradients, want.0.gradients);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    #[test]
    fn convolution(batch in 1..3usize, h in 1..11usize, dilation in 1..4usize, relu: bool, seed in 0..1000u64) {
        conv_case::<1, 1>(batch, h, 1, relu, Precision::F32, seed);
        conv_case::<1, 5>(batch, h, dilation, relu, Precision::F32, seed);
        conv_case::<3, 1>(batch, h, dilation, relu, Precision::F32, seed);
        conv_case::<3, 3>(batch, h, dilation, relu, Precision::F32, seed);
        // without ReLU, whose gradient jumps where rounding moves a number past zero
        conv_case::<1, 1>(batch, h, 1, false, Precision::Bf16, seed);
        conv_case::<3, 3>(batch, h, dilation, false, Precision::Bf16, seed);
    }

    #[test]
    fn batch_normalisation(batch in 1..3usize, h in 2..9usize, relu: bool, seed in 0..1000u64) {
        const C: usize = 6;
        let rows = batch * h * h;
        let inputs = [numbers(rows * C, seed), numbers(C, seed + 1), numbers(C, seed + 2)];
        let device = device();
        let x = map::<Const<C>>(&inputs[0], batch, h);
        let scale: Tensor<Rank1<C>, f32, Dev> = device.tensor_from_vec(inputs[1].clone(), Default::default());
        let bias: Tensor<Rank1<C>, f32, Dev> = device.tensor_from_vec(inputs[2].clone(), Default::default());
        let probe = numbers(rows * C, seed + 3);
        let (y, [mean, variance]) = ops::batch_norm(x.leaky_trace(), &scale, &bias, relu).unwrap();
        let got = got!(y, probe, [x, scale, bias]);
        let moments = |x: &[f64], ch: usize| {
            let column: Vec<f64> = x.iter().skip(ch).step_by(C).copied().collect();
            let mean = column.iter().sum::<f64>() / rows as f64;
            (mean, column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64)
        };
        for ch in 0..C {
            let (m, v) = moments(&wide(&inputs[0]), ch);
            prop_assert!((f64::from(mean.as_vec()[ch]) - m).abs() < 1e-6);
            let unbiased = v * rows as f64 / (rows - 1) as f64;
            prop_assert!((f64::from(variance.as_vec()[ch]) - unbiased).abs() < 1e-6);
        }
        compare(&got, &inputs, &probe, [2e-5, 2e-3], |v| {
            let moments: Vec<_> = (0..C).map(|ch| moments(&v[0], ch)).collect();
            let y = v[0].iter().enumerate().map(|(i, x)| {
                let ((m, s), ch) = (moments[i % C], i % C);
                (x - m) / (s + 1e-5).sqrt() * v[1][ch] + v[2][ch]
            });
            y.map(|y| if relu { y.max(0.0) } else { y }).collect()
        });
    }

    #[test]
    fn convolution_with_batch_normalisation(
        batch in 1..3usize,
        h in 2..9usize,
        dilation in 1..4usize,
        wide: bool,
        relu: bool,
        seed in 0..1000u64,
    ) {
        if wide {
            conv_batch_norm_twin::<3, 1>(batch, h, dilation, relu, seed);
        } else {
            centred_conv_batch_norm_case(batch, h, relu, MemoryUse::Balanced, seed);
            centred_conv_batch_norm_case(batch, h, relu, MemoryUse::Small, seed);
        }
    }

    #[test]
    fn sum_with_relu_and_concatenation(batch in 1..3usize, h in 1..8usize, seed in 0..1000u64) {
        const C: usize = 3;
        let n = batch * h * h * C;
        let inputs: Vec<_> = (0..4).map(|i| numbers(n, seed + i)).collect();
        let maps = [0, 1, 2, 3].map(|i: usize| map::<Const<C>>(&inputs[i], batch, h));
        let probe = numbers(4 * n, seed + 9);
        let y = ops::add_relu(maps[0].leaky_trace(), maps[1].leaky_trace()).unwrap();
        let got = got!(y, probe[..n], [maps[0], maps[1]]);
        compare(&got, &inputs[..2], &probe[..n], [2e-5, 2e-3], |v| {
            v[0].iter().zip(&v[1]).map(|(a, b)| (a + b).max(0.0)).collect()
        });
        let traced = maps.each_ref().map(|m| m.leaky_trace());
        let y: Tensor<Plane<Const<{ 4 * C }>>, f32, Dev, _> = ops::concat4(traced).unwrap();
        let got = got!(y, probe, [maps[0], maps[1], maps[2], maps[3]]);
        compare(&got, &inputs, &probe, [2e-5, 1e-4], |v| {
            (0..4 * n).map(|i| v[i / C % 4][i / (4 * C) * C + i % C]).collect()
        });
    }

    #[test]
    fn doubling_beside_a_skip(batch in 1..3usize, half in 1..7usize, seed in 0..1000u64) {
        const C: usize = 3;
        let h = 2 * half;
        let inputs = [numbers(batch * h * h * C, seed), numbers(batch * half * half * C, seed + 1)];
        let skip = map::<Const<C>>(&inputs[0], batch, h);
        let deep = map::<Const<C>>(&inputs[1], batch, half);
        let probe = numbers(batch * h * h * 2 * C, seed + 2);
        let y: Tensor<Plane<Const<{ 2 * C }>>, f32, Dev, _> =
            ops::up2_concat(skip.leaky_trace(), deep.leaky_trace()).unwrap();
        let got = got!(y, probe, [skip, deep]);
        let scale = (half - 1) as f64 / (h - 1) as f64;
        compare(&got, &inputs, &probe, [2e-5, 1e-3], |v| {
            (0..batch * h * h * 2 * C).map(|i| {
                let (ch, px, py, n) = (i % (2 * C), i / (2 * C) % h, i / (2 * C) / h % h, i / (2 * C) / h / h);
                if ch < C {
                    v[0][((n * h + py) * h + px) * C + ch]
                } else {
                    let at = |y: usize, x: usize| v[1][((n * half + y) * half + x) * C + ch - C];
                    bilinear_twin(at, half, scale * py as f64, scale * px as f64)
                }
            }).collect()
        });
    }

    #[test]
    fn resizing_to_the_image(batch in 1..3usize, h in 1..5usize, factor in 1..5usize, seed in 0..1000u64) {
        const K: usize = 2;
        let side = h * factor * 16;
        let inputs = [numbers(batch * h * h * K, seed)];
        let x = map::<Const<K>>(&inputs[0], batch, h);
        let probe = numbers(batch * K * side * side, seed + 1);
        let y = ops::resize::<usize, _, _, _, _, _>(x.leaky_trace(), side).unwrap();
        let got = got!(y, probe, [x]);
        compare(&got, &inputs, &probe, [2e-5, 1e-3], |v| {
            (0..batch * K * side * side).map(|i| {
                let (px, py, k, n) = (i % side, i / side % side, i / side / side % K, i / side / side / K);
                let source = |p: usize| ((p as f64 + 0.5) * h as f64 / side as f64 - 0.5).max(0.0);
                bilinear_twin(|y, x| v[0][((n * h + y) * h + x) * K + k], h, source(py), source(px))
            }).collect()
        });
    }

    #[test]
    fn loss(batch in 1..3usize, side in prop::sample::select(vec![32usize, 64]), script: bool, soft: bool, seed in 0..1000u64) {
        const K: usize = 2;
        let n = batch * K * side * side;
        let inputs = [numbers(n, seed).iter().map(|v| 6.0 * v).collect::<Vec<_>>()];
        let mask: Vec<f32> = (0..n)
            .map(|i| {
                let (x, y) = ((i % side) as f32, (i / side % side) as f32);
                let inside = 1.0 - ((x - 12.0).hypot(y - 15.0) - 7.0 - (seed % 5) as f32) / 3.0;
                if soft { inside.clamp(0.0, 1.0) } else { f32::from(u8::from(inside > 0.5)) }
            })
            .collect();
        let shape = (batch, Const::<K>, side, side);
        let device = device();
        let x: Tensor<(usize, Const<K>, usize, usize), f32, Dev> = device.tensor_from_vec(inputs[0].clone(), shape);
        let truth = device.tensor_from_vec(mask.clone(), shape);
        let weights = ops::loss_weights(&truth).unwrap();
        let weight_twin: Vec<f64> = (0..n).map(|i| {
            let (px, py, plane) = ((i % side) as isize, (i / side % side) as isize, i / side / side * side * side);
            let mut sum = 0.0;
            for y in (py - 15).max(0)..(py + 16).min(side as isize) {
                for x in (px - 15).max(0)..(px + 16).min(side as isize) {
                    sum += f64::from(mask[plane + y as usize * side + x as usize]);
                }
            }
            1.0 + 5.0 * (sum / 961.0 - f64::from(mask[i])).abs()
        }).collect();
        for (got, want) in weights.as_vec().iter().zip(&weight_twin) {
            prop_assert!((f64::from(*got) - want).abs() < 1e-5);
        }
        let cross_entropy = if script { ops::CrossEntropy::Plain } else { ops::CrossEntropy::Weighted };
        let y = ops::structure_loss(x.leaky_trace(), &truth, &weights, cross_entropy).unwrap();
        // no sum: dfdx cannot sum a single number on a GPU
        let values = y.as_vec();
        let got = Got { y: values, gradients: vec![y.backward().get(&x).as_vec()] };
        compare(&got, &inputs, &[1.0], [2e-5, 2e-3], |v| {
            let pixels = side * side;
            let mut total = 0.0;
            for plane in 0..batch * K {
                let range = plane * pixels..(plane + 1) * pixels;
                let (mut sw, mut se, mut si, mut st) = (0.0, 0.0, 0.0, 0.0);
                for i in range {
                    let (x, m, w) = (v[0][i], f64::from(mask[i]), weight_twin[i]);
                    let p = 1.0 / (1.0 + (-x).exp());
                    let e = -(m * p.ln() + (1.0 - m) * (1.0 - p).ln());
                    sw += w;
                    se += if script { e } else { w * e };
                    si += w * p * m;
                    st += w * (p + m);
                }
                total += se / if script { pixels as f64 } else { sw } + 1.0 - (si + 1.0) / (st - si + 1.0);
            }
            vec![total / (batch * K) as f64]
        });
    }

    #[test]
    fn blocks(batch in 1..3usize, side in 1..10usize, heads in 1..3usize, window in 0..6usize, keep: bool, seed in 0..1000u64) {
        let memory = if keep { MemoryUse::Balanced } else { MemoryUse::Small };
        let case = BlockCase { batch, side, heads, window, memory, precision: Precision::F32, seed };
        block_case::<8>(case);
        // A pooling block's map is even, and so is its window.
        pooling_block_case::<6, 12>(BlockCase { side: 2 * side, window: 2 * window, ..case });
        // without a pool, whose gradient jumps
        block_case::<8>(BlockCase { precision: Precision::Bf16, ..case });
    }
}
