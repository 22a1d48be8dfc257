use super::super::open::tested_gpu;
use super::*;
use crate::kernels::device::Device;
use half::bf16;
use std::sync::Arc;

/// What the two files of kernels compile and what is launched are written down twice.
#[test]
fn tiles_are_those_of_the_kernels() {
    // name, width, rows and threads forward and backward
    let plain = |[of, width, rows, _, threads, rows_back, _, threads_back]: [&str; 8]| {
        let numbers = [width, rows, threads, rows_back, threads_back].map(|n| n.parse::<usize>().unwrap());
        (of.to_string(), numbers)
    };
    let tensor = |[of, width, warps, _, warps_back, _]: [&str; 6]| {
        let [width, warps, back] = [width, warps, warps_back].map(|n| n.parse::<usize>().unwrap());
        (of.to_string(), [width, 16 * warps, 32 * warps, 16 * back, 32 * back])
    };
    let lines = |source: &'static str| source.lines().filter_map(|l| l.strip_prefix("ATTENTION(")?.strip_suffix(')'));
    fn words<const N: usize>(line: &str) -> [&str; N] {
        line.split(", ").collect::<Vec<_>>().try_into().unwrap()
    }
    let compiled: Vec<_> = lines(include_str!("../attention.cu")).map(|l| plain(words(l))).collect();
    let compiled_tensor: Vec<_> = lines(include_str!("../attention_tensor.cu")).map(|l| tensor(words(l))).collect();
    let launched = |tiles: &[Tiles], begin: &str| -> Vec<_> {
        let line = |t: &Tiles| {
            let ((rows, threads), (rows_back, threads_back)) = (t.forward, t.backward);
            let name = t.kernels[0].strip_prefix(begin).unwrap().to_string();
            (name, [t.width, rows, threads as usize, rows_back, threads_back as usize])
        };
        tiles.iter().map(line).collect()
    };
    assert_eq!(compiled, launched(&TILES, "attention_"));
    assert_eq!(compiled_tensor, launched(&TENSOR_TILES, "attention_tensor_"));
}

#[test]
fn heads_wider_than_any_tile_are_refused() {
    for precision in [Precision::F32, Precision::Bf16] {
        for tokens in [1, 16, 17, 4096] {
            for dim in 1..=320 {
                let tiles = Tiles::of(dim, tokens, precision).unwrap();
                assert!(tiles.width >= dim && tiles.tokens >= tokens);
                assert_eq!(tiles.round(), precision == Precision::Bf16 && dim <= 96);
            }
            assert!(Tiles::of(321, tokens, precision).is_err());
        }
    }
}

/// One attention on tensor cores, compared with the reference implementation element by element.
struct Case {
    maps: usize,
    map: Extent,
    window: usize,
    heads: usize,
    dim: usize,
    pool: bool,
}

fn round(v: f32) -> f32 {
    bf16::from_f32(v).to_f32()
}

fn sum(products: impl Iterator<Item = (f32, f32)>) -> f32 {
    products.map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

impl Case {
    fn channels(&self) -> usize {
        self.heads * self.dim
    }

    /// A token's queries, keys or values of a head, of `None` the bias alone.
    fn row(&self, qkv: &[f32], bias: &[f32], part: usize, token: Option<usize>, head: usize) -> Vec<f32> {
        let c = self.channels();
        let at = part * c + head * self.dim;
        (at..at + self.dim).map(|i| token.map_or(0.0, |t| qkv[t * 3 * c + i]) + bias[i]).collect()
    }

    /// Output and gradient of the projections: factors, weights and the gradients of scores rounded as the kernels do.
    fn twin(&self, qkv: &[f32], bias: &[f32], gout: &[f32]) -> [Vec<f32>; 2] {
        let (Extent { height, width }, c, dim) = (self.map, self.channels(), self.dim);
        let window = if self.window == 0 { self.map } else { Extent::square(self.window) };
        let shrink = if self.pool { 2 } else { 1 };
        let scale = 1.0 / (dim as f32).sqrt();
        let (mut out, mut gqkv) = (vec![0.0f32; gout.len()], vec![0.0f32; qkv.len()]);
        let starts: Vec<(usize, usize)> = (0..height)
            .step_by(window.height)
            .flat_map(|y| (0..width).step_by(window.width).map(move |x| (y, x)))
            .collect();
        for (map, head) in (0..self.maps).flat_map(|map| (0..self.heads).map(move |head| (map, head))) {
            for &(y, x) in &starts {
                let (below, right) = ((y + window.height).min(height), (x + window.width).min(width));
                let token = |y: usize, x: usize| (map * height + y) * width + x;
                let tokens: Vec<usize> = (y..below).flat_map(|y| (x..right).map(move |x| token(y, x))).collect();
                let padding = window.area() - tokens.len();
                let mut keys: Vec<(Option<usize>, f32)> = tokens.iter().map(|t| (Some(*t), 1.0)).collect();
                keys.extend((padding > 0).then_some((None, padding as f32)));
                let rounded = |part, t| self.row(qkv, bias, part, t, head).into_iter().map(round).collect::<Vec<_>>();
                let k: Vec<_> = keys.iter().map(|(t, _)| rounded(1, *t)).collect();
                let v: Vec<_> = keys.iter().map(|(t, _)| rounded(2, *t)).collect();
                for (qy, qx) in
                    (y / shrink..below / shrink).flat_map(|y| (x / shrink..right / shrink).map(move |x| (y, x)))
                {
                    let of: Vec<usize> = (0..shrink * shrink)
                        .map(|i| token(qy * shrink + i / shrink, qx * shrink + i % shrink))
                        .collect();
                    let rows: Vec<_> = of.iter().map(|t| self.row(qkv, bias, 0, Some(*t), head)).collect();
                    let which: Vec<usize> = (0..dim)
                        .map(|d| (0..rows.len()).rev().max_by(|a, b| rows[*a][d].total_cmp(&rows[*b][d])).unwrap())
                        .collect();
                    let q: Vec<f32> = which.iter().enumerate().map(|(d, w)| round(rows[*w][d])).collect();
                    let dot = |a: &[f32], b: &[f32]| sum(a.iter().copied().zip(b.iter().copied()));
                    let s: Vec<f32> = k.iter().map(|k| dot(&q, k)).collect();
                    let most = s.iter().copied().fold(f32::MIN, f32::max);
                    let p: Vec<f32> =
                        s.iter().zip(&keys).map(|(s, (_, times))| ((s - most) * scale).exp() * times).collect();
                    let total: f32 = p.iter().sum();
                    let at = ((map * (height / shrink) + qy) * (width / shrink) + qx) * c + head * dim;
                    for d in 0..dim {
                        out[at + d] = round(sum(p.iter().zip(&v).map(|(p, v)| (round(*p), v[d]))) / total);
                    }
                    let g: Vec<f32> = gout[at..at + dim].to_vec();
                    let g_rounded: Vec<f32> = g.iter().copied().map(round).collect();
                    let along = dot(&out[at..at + dim], &g);
                    let weight = |j: usize| p[j] / total;
                    let gs: Vec<f32> =
                        (0..keys.len()).map(|j| round(weight(j) * (dot(&g_rounded, &v[j]) - along) * scale)).collect();
                    for d in 0..dim {
                        let gq = sum(gs.iter().zip(&k).map(|(g, k)| (*g, k[d])));
                        gqkv[of[which[d]] * 3 * c + head * dim + d] = gq;
                    }
                    for (j, t) in keys.iter().enumerate().filter_map(|(j, (t, _))| Some((j, (*t)?))) {
                        for d in 0..dim {
                            gqkv[t * 3 * c + c + head * dim + d] += gs[j] * q[d];
                            gqkv[t * 3 * c + 2 * c + head * dim + d] += round(weight(j)) * g_rounded[d];
                        }
                    }
                }
            }
        }
        [out, gqkv]
    }

    /// Of output and gradient the largest difference from the reference, beyond a unit in the last place that each is rounded to,
    /// and the mean one, in parts of the largest number; and both from what the kernels without tensor cores give in
    /// single precision.
    fn errors(&self, gpu: &Gpu) -> [Vec<[f32; 2]>; 2] {
        let mut seed = 1u32;
        let mut numbers = |n: usize, size: f32| -> Vec<f32> {
            let mut draw = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
            };
            (0..n).map(|_| draw()).collect()
        };
        let (n, c) = (self.maps * self.map.area(), self.channels());
        let queries = n / if self.pool { 4 } else { 1 };
        let (qkv, bias, gout) = (numbers(n * 3 * c, 2.0), numbers(3 * c, 1.0), numbers(queries * c, 1.0));
        let [qkv, gout] = [qkv, gout].map(|numbers| numbers.into_iter().map(round).collect::<Vec<_>>());
        let wanted = self.twin(&qkv, &bias, &gout);
        let bias = gpu.uninit(bias.len(), |y| gpu.upload(&bias, y)).unwrap();
        let of = |precision| {
            let Self { maps, map, window, heads, dim, pool } = *self;
            let attention = Attention { maps, map, window, heads, dim, pool, bias: (&bias).into(), precision };
            let stored = |numbers: &Vec<f32>| {
                gpu.freeze(numbers.clone(), &[1, numbers.len()], attention.stored().unwrap()).unwrap()
            };
            let (qkv, gout) = (stored(&qkv), stored(&gout));
            let attended = attention.forward(gpu, &qkv).unwrap();
            let gqkv = attention.backward(gpu, &qkv, &attended, &gout).unwrap();
            [attended.out, gqkv].map(|found| {
                assert_eq!(found.precision(), precision);
                gpu.thaw(&Arc::new(found)).unwrap()
            })
        };
        let [single, rounded] = [of(Precision::F32), of(Precision::Bf16)];
        let errors = |wanted: &[Vec<f32>; 2], ulp: f32| {
            let each = rounded.iter().zip(wanted).map(|(found, wanted)| {
                let largest = wanted.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                assert!(largest > 0.0 && found.len() == wanted.len() && found.iter().all(|v| v.is_finite()));
                let beyond = |(a, b): (&f32, &f32)| (a - b).abs() - ulp * b.abs();
                let worst = found.iter().zip(wanted).map(beyond).fold(0.0, f32::max);
                let sum: f32 = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).sum();
                [worst / largest, sum / found.len() as f32 / largest]
            });
            each.collect()
        };
        [errors(&wanted, 1.0 / 128.0), errors(&single, 0.0)]
    }
}

#[test]
fn tensor_cores_give_what_their_twin_gives() {
    let Some(gpu) = tested_gpu().filter(|gpu| gpu.supports(Precision::Bf16)) else {
        return;
    };
    let square = |(maps, side, window, heads, dim, pool)| (maps, [side, side], window, heads, dim, pool);
    let squares = [
        // windows of the published sizes: whole, overhanging, few tokens, pooled, the whole map
        (2, 8, 8, 2, 72, false),
        (1, 22, 14, 1, 72, false),
        (2, 11, 7, 1, 72, false),
        (2, 10, 4, 2, 96, false),
        (2, 8, 4, 2, 72, true),
        (1, 12, 8, 1, 56, true),
        (1, 22, 0, 1, 72, false),
        // and others
        (1, 6, 0, 3, 20, false),
        (2, 5, 2, 1, 7, false),
        (1, 4, 4, 1, 1, true),
        (1, 12, 8, 2, 15, true),
        // heads of Tiny and Small in windows of many tokens, whole and pooled; pairs of numbers at odd places
        (1, 22, 14, 2, 96, false),
        (1, 12, 8, 1, 96, true),
        (1, 11, 0, 2, 90, false),
        (1, 9, 0, 2, 54, false),
    ];
    // neither as wide as high: windows that overhang at both sides or one, pooled, and the whole map
    let oblongs = [
        (2, [8, 12], 4, 1, 72, false),
        (1, [10, 5], 4, 2, 40, false),
        (1, [12, 20], 8, 1, 56, true),
        (1, [5, 13], 0, 1, 72, false),
        (1, [14, 6], 0, 1, 24, true),
    ];
    for (maps, [height, width], window, heads, dim, pool) in squares.map(square).into_iter().chain(oblongs) {
        let case = Case { maps, map: Extent { height, width }, window, heads, dim, pool };
        let [twin, single] = case.errors(&gpu);
        let name = format!("{height} x {width}, window {window}, {heads} x {dim}, pool {pool}");
        println!("{name}: {twin:?}, single precision {single:?}");
        // where a factor lies between two numbers of bf16 it may be rounded to the other: 2^-8 of one product
        assert!(twin.iter().all(|[worst, mean]| *worst < 4e-3 && *mean < 2e-4), "{name}: {twin:?}");
        // rounded, but not by much
        assert!(single.iter().all(|[worst, mean]| *worst < 2e-2 && *mean > 1e-5), "{name}: {single:?}");
    }
}
