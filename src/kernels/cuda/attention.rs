//! Multi-head attention inside of windows: the launches of `attention.cu` and, in bf16, of `attention_tensor.cu`.

use super::launch::{Kernels, Stream, args, blocks, kernels};
use super::memory::{Numbers, Scratch};
use super::part::{Part, over_rows, rounded_away};
use crate::kernels::precision::Precision;
use cudarc::driver::{DriverError, sys::CUresult};
use dfdx::prelude::*;

const ATTENTION: Kernels = kernels!("attention");
const ATTENTION_TENSOR: Kernels = kernels!("attention_tensor");

/// What attention over a batch of maps needs to know.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Maps.
    pub maps: usize,
    /// Tokens to a side of a map.
    pub side: usize,
    /// Window of the attention; 0 for the whole map.
    pub window: usize,
    /// Number of heads.
    pub heads: usize,
    /// Numbers of a head.
    pub dim: usize,
    /// Whether queries are pooled 2x2.
    pub pool: bool,
    /// Bias of the query, key and value projection: what a padded token's row is.
    pub bias: Part<'a>,
    /// What the products around it are computed in. In bf16 its own are too, where tensor cores know the width of its
    /// heads; else they are in single precision.
    pub precision: Precision,
}

/// What attention gives.
#[derive(Debug)]
pub struct Attended {
    /// `(queries, heads dim)`, as a product of the precision takes it.
    pub out: Numbers,
    /// Each query's and head's largest score and what its weights were scaled by: `(queries, heads, 2)`.
    statistics: Scratch,
}

/// One line of kernels at the end of `attention.cu` or `attention_tensor.cu`.
struct Tiles {
    file: Kernels,
    /// Numbers of a head, at most.
    width: usize,
    /// Tokens of a window, at most.
    tokens: usize,
    /// `forward`, `backward_queries` and `backward_keys`.
    kernels: [&'static str; 3],
    /// Rows that a block works on, and its threads.
    forward: (usize, u32),
    backward: (usize, u32),
}

macro_rules! tiles {
    ($file:expr, $begin:literal, $name:literal, $width:expr, $tokens:expr, $forward:expr, $backward:expr) => {
        Tiles {
            file: $file,
            width: $width,
            tokens: $tokens,
            kernels: [
                concat!($begin, $name),
                concat!($begin, "backward_queries_", $name),
                concat!($begin, "backward_keys_", $name),
            ],
            forward: $forward,
            backward: $backward,
        }
    };
    ($name:literal, $width:expr, $tokens:expr, $forward:expr, $backward:expr) => {
        tiles!(ATTENTION, "attention_", $name, $width, $tokens, $forward, $backward)
    };
    (on tensor cores: $name:literal, $width:expr, $tokens:expr, $forward:expr, $backward:expr) => {
        tiles!(ATTENTION_TENSOR, "attention_tensor_", $name, $width, $tokens, $forward, $backward)
    };
}

/// The first that holds a head and a window is taken.
const TILES: [Tiles; 8] = [
    tiles!("32_few", 32, 16, (16, 64), (16, 64)),
    tiles!("64_few", 64, 16, (16, 64), (16, 64)),
    tiles!("96_few", 96, 16, (16, 64), (16, 64)),
    tiles!("32", 32, usize::MAX, (64, 128), (32, 128)),
    tiles!("64", 64, usize::MAX, (64, 128), (32, 128)),
    tiles!("96", 96, usize::MAX, (64, 128), (32, 128)),
    tiles!("160", 160, usize::MAX, (32, 128), (16, 128)),
    tiles!("320", 320, usize::MAX, (16, 128), (8, 64)),
];

/// The same, for tensor cores; they know no wider heads.
const TENSOR_TILES: [Tiles; 6] = [
    tiles!(on tensor cores: "64_few", 64, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "80_few", 80, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "96_few", 96, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "64", 64, usize::MAX, (64, 128), (64, 128)),
    tiles!(on tensor cores: "80", 80, usize::MAX, (64, 128), (64, 128)),
    tiles!(on tensor cores: "96", 96, usize::MAX, (64, 128), (64, 128)),
];

impl Tiles {
    fn of(dim: usize, tokens: usize, precision: Precision) -> Result<&'static Self, CudaError> {
        let holds = |tiles: &&Tiles| dim <= tiles.width && tokens <= tiles.tokens;
        let tensor = TENSOR_TILES.iter().filter(|_| precision == Precision::Bf16).find(holds);
        let found = tensor.or_else(|| TILES.iter().find(holds));
        found.ok_or(DriverError(CUresult::CUDA_ERROR_NOT_SUPPORTED).into())
    }

    /// Whether they write numbers of bf16.
    fn round(&self) -> bool {
        self.file.name == ATTENTION_TENSOR.name
    }
}

impl Attention<'_> {
    /// A global attention's window is the map.
    fn window(&self) -> usize {
        if self.window == 0 { self.side } else { self.window }
    }

    /// Queries of a map.
    fn queries(&self) -> usize {
        self.side * self.side / if self.pool { 4 } else { 1 }
    }

    /// Blocks: tiles of a window's rows, heads, maps.
    fn grid(&self, rows_of_window: usize, rows_of_tile: usize) -> [u32; 3] {
        let windows = self.side.div_ceil(self.window()).pow(2);
        [blocks(windows * rows_of_window.div_ceil(rows_of_tile), 1), blocks(self.heads, 1), blocks(self.maps, 1)]
    }

    /// How projections and the output's gradient are stored, for products of which it takes them.
    pub fn stored(&self) -> Result<Precision, CudaError> {
        Ok(if self.tiles()?.round() { Precision::Bf16 } else { Precision::F32 })
    }

    fn check(&self, qkv: &Numbers) {
        let channels = self.heads * self.dim;
        assert_eq!(self.bias.len(), 3 * channels);
        assert_eq!(qkv.len(), self.maps * self.side * self.side * 3 * channels);
        assert_eq!(self.stored().ok(), Some(qkv.precision()));
        assert!(!self.pool || (self.side.is_multiple_of(2) && self.window().is_multiple_of(2)), "a pool takes pairs");
    }

    /// `softmax(q k^T / sqrt(dim)) v`; `qkv` are projections of all tokens, `(n, 3 heads dim)`, without their bias,
    /// as [`stored`](Self::stored) says.
    pub fn forward(&self, stream: &Stream, qkv: &Numbers) -> Result<Attended, CudaError> {
        self.check(qkv);
        let rows = self.maps * self.queries() * self.heads;
        let tiles = self.tiles()?;
        let Tiles { file, kernels: [kernel, ..], forward: (tile, threads), .. } = *tiles;
        let (len, statistics) = (rows * self.dim, stream.uninit(2 * rows)?);
        let grid = self.grid(self.queries_of_window(), tile);
        let [side, window, heads, dim, pool] = self.numbers();
        let launch = |out| {
            let args = args![side, window, heads, dim, pool, self.scale(), qkv, self.bias, out, &statistics];
            // SAFETY: projections and bias have the lengths just checked; the results have a row for each query and head,
            // `out` as the kernel writes it.
            unsafe { stream.launch(file, kernel, grid, [threads, 1, 1], 0, args) }
        };
        let out = self.made(stream, tiles, len, launch)?;
        Ok(Attended { out, statistics })
    }

    /// The gradient of [`forward`](Self::forward)'s input, `(n, 3 heads dim)`, as a product of the precision takes it; `gout`
    /// is that of its output.
    pub fn backward(
        &self,
        stream: &Stream,
        qkv: &Numbers,
        attended: &Attended,
        gout: &Numbers,
    ) -> Result<Numbers, CudaError> {
        self.check(qkv);
        let Attended { out, statistics } = attended;
        let rows = self.maps * self.queries() * self.heads;
        assert!(gout.len() == rows * self.dim && out.len() == gout.len() && out.precision() == self.precision);
        assert!(statistics.len() == 2 * rows && gout.precision() == qkv.precision());
        let dots = stream.uninit(rows)?;
        let tiles = self.tiles()?;
        let Tiles { file, kernels: [_, queries, keys], backward: (tile, threads), .. } = *tiles;
        let [side, window, heads, dim, pool] = self.numbers();
        let kernel = match (out.precision(), gout.precision()) {
            (Precision::Bf16, Precision::Bf16) => "attention_dots_all_bf16",
            (Precision::Bf16, _) => "attention_dots_bf16",
            _ => "attention_dots",
        };
        // SAFETY: output and gradient, as the kernel reads them, have `dim` numbers for each of `rows` queries and heads,
        // `dots` one.
        unsafe { over_rows(stream, rows, ATTENTION, kernel, args![rows, dim, out, gout, &dots]) }?;
        self.made(stream, tiles, qkv.len(), |gqkv| {
            for (kernel, rows) in [(queries, self.queries_of_window()), (keys, self.window().pow(2))] {
                let scale = self.scale();
                let args = args![side, window, heads, dim, pool, scale, qkv, self.bias, statistics, &dots, gout, gqkv];
                // SAFETY: as in `forward`; the gradient has a number for each of the projections, as the kernel writes it.
                unsafe { stream.launch(file, kernel, self.grid(rows, tile), [threads, 1, 1], 0, args) }?;
            }
            Ok(())
        })
    }

    fn tiles(&self) -> Result<&'static Tiles, CudaError> {
        Tiles::of(self.dim, self.window().pow(2), self.precision)
    }

    /// `len` numbers that kernels write at an address, as a product of the precision takes them.
    fn made(
        &self,
        stream: &Stream,
        tiles: &Tiles,
        len: usize,
        write: impl FnOnce(u64) -> Result<(), CudaError>,
    ) -> Result<Numbers, CudaError> {
        if tiles.round() {
            let made = stream.factor(len, Precision::Bf16)?;
            write(made.address())?;
            return Ok(made);
        }
        let made = stream.uninit(len)?;
        write(made.address())?;
        rounded_away(stream, made, self.precision)
    }

    /// Queries of a window, at most.
    fn queries_of_window(&self) -> usize {
        self.window().pow(2) / if self.pool { 4 } else { 1 }
    }

    fn numbers(&self) -> [i32; 5] {
        [self.side, self.window(), self.heads, self.dim, usize::from(self.pool)].map(|n| n as i32)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use super::*;
    use crate::nn::Memory;
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
        let lines =
            |source: &'static str| source.lines().filter_map(|l| l.strip_prefix("ATTENTION(")?.strip_suffix(')'));
        fn words<const N: usize>(line: &str) -> [&str; N] {
            line.split(", ").collect::<Vec<_>>().try_into().unwrap()
        }
        let compiled: Vec<_> = lines(include_str!("attention.cu")).map(|l| plain(words(l))).collect();
        let compiled_tensor: Vec<_> = lines(include_str!("attention_tensor.cu")).map(|l| tensor(words(l))).collect();
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

    /// One attention on tensor cores and, number by number, its twin.
    struct Case {
        maps: usize,
        side: usize,
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
            let (side, c, dim) = (self.side, self.channels(), self.dim);
            let (window, shrink) = (if self.window == 0 { side } else { self.window }, if self.pool { 2 } else { 1 });
            let scale = 1.0 / (dim as f32).sqrt();
            let half = side / shrink;
            let (mut out, mut gqkv) = (vec![0.0f32; gout.len()], vec![0.0f32; qkv.len()]);
            let starts: Vec<usize> = (0..side).step_by(window).collect();
            for (map, head) in (0..self.maps).flat_map(|map| (0..self.heads).map(move |head| (map, head))) {
                for (&y, &x) in starts.iter().flat_map(|y| starts.iter().map(move |x| (y, x))) {
                    let (below, right) = ((y + window).min(side), (x + window).min(side));
                    let token = |y: usize, x: usize| (map * side + y) * side + x;
                    let tokens: Vec<usize> = (y..below).flat_map(|y| (x..right).map(move |x| token(y, x))).collect();
                    let padding = window * window - tokens.len();
                    let mut keys: Vec<(Option<usize>, f32)> = tokens.iter().map(|t| (Some(*t), 1.0)).collect();
                    keys.extend((padding > 0).then_some((None, padding as f32)));
                    let rounded =
                        |part, t| self.row(qkv, bias, part, t, head).into_iter().map(round).collect::<Vec<_>>();
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
                        let at = ((map * half + qy) * half + qx) * c + head * dim;
                        for d in 0..dim {
                            out[at + d] = round(sum(p.iter().zip(&v).map(|(p, v)| (round(*p), v[d]))) / total);
                        }
                        let g: Vec<f32> = gout[at..at + dim].to_vec();
                        let g_rounded: Vec<f32> = g.iter().copied().map(round).collect();
                        let along = dot(&out[at..at + dim], &g);
                        let weight = |j: usize| p[j] / total;
                        let gs: Vec<f32> = (0..keys.len())
                            .map(|j| round(weight(j) * (dot(&g_rounded, &v[j]) - along) * scale))
                            .collect();
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

        /// Of output and gradient the largest difference from the twin, beyond a unit in the last place that each is rounded to,
        /// and the mean one, in parts of the largest number; and both from what the kernels without tensor cores give in
        /// single precision.
        fn errors(&self, device: &Cuda) -> [Vec<[f32; 2]>; 2] {
            let mut seed = 1u32;
            let mut numbers = |n: usize, size: f32| -> Vec<f32> {
                let mut draw = || {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
                };
                (0..n).map(|_| draw()).collect()
            };
            let (n, c) = (self.maps * self.side * self.side, self.channels());
            let queries = n / if self.pool { 4 } else { 1 };
            let (qkv, bias, gout) = (numbers(n * 3 * c, 2.0), numbers(3 * c, 1.0), numbers(queries * c, 1.0));
            let [qkv, gout] = [qkv, gout].map(|numbers| numbers.into_iter().map(round).collect::<Vec<_>>());
            let wanted = self.twin(&qkv, &bias, &gout);
            let bias = {
                let n = bias.len();
                device.view(&device.tensor_from_vec(bias, (n,)))
            };
            let stream = Stream::of(device).unwrap();
            let of = |precision| {
                let (maps, side, window, heads, dim, pool) =
                    (self.maps, self.side, self.window, self.heads, self.dim, self.pool);
                let attention = Attention { maps, side, window, heads, dim, pool, bias: (&bias).into(), precision };
                let stored = |numbers: &Vec<f32>| {
                    device.freeze(numbers.clone(), &[1, numbers.len()], attention.stored().unwrap()).unwrap()
                };
                let (qkv, gout) = (stored(&qkv), stored(&gout));
                let attended = attention.forward(&stream, &qkv).unwrap();
                let gqkv = attention.backward(&stream, &qkv, &attended, &gout).unwrap();
                [attended.out, gqkv].map(|found| {
                    assert_eq!(found.precision(), precision);
                    device.thaw(&Arc::new(found)).unwrap()
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
        let Some(device) = tested_gpu().filter(|device| device.offers(Precision::Bf16)) else {
            return;
        };
        for (maps, side, window, heads, dim, pool) in [
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
        ] {
            let case = Case { maps, side, window, heads, dim, pool };
            let [twin, single] = case.errors(&device);
            let name = format!("side {side}, window {window}, {heads} x {dim}, pool {pool}");
            println!("{name}: {twin:?}, single precision {single:?}");
            // where a factor lies between two numbers of bf16 it may be rounded to the other: 2^-8 of one product
            assert!(twin.iter().all(|[worst, mean]| *worst < 4e-3 && *mean < 2e-4), "{name}: {twin:?}");
            // rounded, but not by much
            assert!(single.iter().all(|[worst, mean]| *worst < 2e-2 && *mean > 1e-5), "{name}: {single:?}");
        }
    }
}
