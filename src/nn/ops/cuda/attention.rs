//! Multi-head attention inside of windows: the launches of `attention.cu`.

use super::launch::{Kernels, Stream, args, blocks, kernels};
use super::memory::Scratch;
use super::part::{Part, over_rows};
use cudarc::driver::{DriverError, sys::CUresult};
use dfdx::prelude::*;

const ATTENTION: Kernels = kernels!("attention");

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
}

/// What attention gives.
#[derive(Debug)]
pub struct Attended {
    /// `(queries, heads dim)`.
    pub out: Scratch,
    /// Each query's and head's largest score and what its weights were scaled by: `(queries, heads, 2)`.
    statistics: Scratch,
}

/// One line of kernels at the end of `attention.cu`.
struct Tiles {
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
    ($name:literal, $width:expr, $tokens:expr, $forward:expr, $backward:expr) => {
        Tiles {
            width: $width,
            tokens: $tokens,
            kernels: [
                concat!("attention_", $name),
                concat!("attention_backward_queries_", $name),
                concat!("attention_backward_keys_", $name),
            ],
            forward: $forward,
            backward: $backward,
        }
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

impl Tiles {
    fn of(dim: usize, tokens: usize) -> Result<&'static Self, CudaError> {
        let found = TILES.iter().find(|tiles| dim <= tiles.width && tokens <= tiles.tokens);
        found.ok_or(DriverError(CUresult::CUDA_ERROR_NOT_SUPPORTED).into())
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

    fn check(&self, qkv: Part<'_>) {
        let channels = self.heads * self.dim;
        assert_eq!(self.bias.len(), 3 * channels);
        assert_eq!(qkv.len(), self.maps * self.side * self.side * 3 * channels);
        assert!(!self.pool || (self.side.is_multiple_of(2) && self.window().is_multiple_of(2)), "a pool takes pairs");
    }

    /// `softmax(q k^T / sqrt(dim)) v`; `qkv` are projections of all tokens, `(n, 3 heads dim)`, without their bias.
    pub fn forward(&self, stream: &Stream, qkv: Part<'_>) -> Result<Attended, CudaError> {
        self.check(qkv);
        let rows = self.maps * self.queries() * self.heads;
        let (out, statistics) = (stream.uninit(rows * self.dim)?, stream.uninit(2 * rows)?);
        let Tiles { kernels: [kernel, ..], forward: (tile, threads), .. } = *Tiles::of(self.dim, self.window().pow(2))?;
        let grid = self.grid(self.queries_of_window(), tile);
        let [side, window, heads, dim, pool] = self.numbers();
        let args = args![side, window, heads, dim, pool, self.scale(), qkv, self.bias, &out, &statistics];
        // SAFETY: projections and bias have the lengths just checked; the results have a row for each query and head.
        unsafe { stream.launch(ATTENTION, kernel, grid, [threads, 1, 1], 0, args) }?;
        Ok(Attended { out, statistics })
    }

    /// The gradient of [`forward`](Self::forward)'s input, `(n, 3 heads dim)`; `gout` is that of its output.
    pub fn backward(
        &self,
        stream: &Stream,
        qkv: Part<'_>,
        attended: &Attended,
        gout: Part<'_>,
    ) -> Result<Scratch, CudaError> {
        self.check(qkv);
        let rows = self.maps * self.queries() * self.heads;
        assert!(gout.len() == rows * self.dim && attended.out.len() == gout.len());
        assert_eq!(attended.statistics.len(), 2 * rows);
        let (dots, gqkv) = (stream.uninit(rows)?, stream.uninit(qkv.len())?);
        let Tiles { kernels: [_, queries, keys], backward: (tile, threads), .. } =
            *Tiles::of(self.dim, self.window().pow(2))?;
        let [side, window, heads, dim, pool] = self.numbers();
        // SAFETY: output and gradient have `dim` numbers for each of `rows` queries and heads, `dots` one.
        unsafe { over_rows(stream, rows, ATTENTION, "attention_dots", args![rows, dim, &attended.out, gout, &dots]) }?;
        for (kernel, rows) in [(queries, self.queries_of_window()), (keys, self.window().pow(2))] {
            let (scale, statistics) = (self.scale(), &attended.statistics);
            let args = args![side, window, heads, dim, pool, scale, qkv, self.bias, statistics, &dots, gout, &gqkv];
            // SAFETY: as in `forward`; the gradient has a number for each of the projections.
            unsafe { stream.launch(ATTENTION, kernel, self.grid(rows, tile), [threads, 1, 1], 0, args) }?;
        }
        Ok(gqkv)
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
    use super::*;

    /// What `attention.cu` compiles and what is launched are written down twice.
    #[test]
    fn tiles_are_those_of_the_kernels() {
        let lines =
            include_str!("attention.cu").lines().filter_map(|l| l.strip_prefix("ATTENTION(")?.strip_suffix(')'));
        let compiled: Vec<Vec<&str>> = lines.map(|line| line.split(", ").collect()).collect();
        let launched = TILES.map(|t| {
            let name = t.kernels[0].strip_prefix("attention_").unwrap().to_string();
            let ((rows, threads), (rows_back, threads_back)) = (t.forward, t.backward);
            (name, [t.width, rows, threads as usize, rows_back, threads_back as usize])
        });
        assert_eq!(compiled.len(), launched.len());
        for (compiled, (name, numbers)) in compiled.iter().zip(&launched) {
            let [of, width, rows, _, threads, rows_back, _, threads_back] = compiled[..] else {
                panic!("{compiled:?}")
            };
            assert_eq!(of, name);
            assert_eq!(
                [width, rows, threads, rows_back, threads_back].map(|n| n.parse::<usize>().unwrap()),
                *numbers,
                "{name}"
            );
        }
    }

    #[test]
    fn heads_wider_than_any_tile_are_refused() {
        for tokens in [1, 16, 17, 4096] {
            for dim in 1..=320 {
                let tiles = Tiles::of(dim, tokens).unwrap();
                assert!(tiles.width >= dim && tiles.tokens >= tokens);
            }
            assert!(Tiles::of(321, tokens).is_err());
        }
    }
}
