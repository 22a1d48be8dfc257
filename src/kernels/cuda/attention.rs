//! Multi-head attention inside of windows: the launches of `attention.cu` and, in bf16, of `attention_tensor.cu`.

use super::buffer::{Operand, Scratch};
use super::error::GpuError;
use super::gpu::Gpu;
use super::linear::rounded_away;
use super::ptx::{Kernels, args, blocks, kernels};
use super::rows::over_rows;
use super::view::Slice;
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;

const ATTENTION: Kernels = kernels!("attention");
const ATTENTION_TENSOR: Kernels = kernels!("attention_tensor");

/// Attention over a batch of maps: its sizes, bias and precision.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Number of maps.
    pub maps: usize,
    /// Height and width of a map in tokens.
    pub map: Extent,
    /// Side of a window in tokens; 0 for the whole map.
    pub window: usize,
    /// Number of heads.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
    /// Whether queries are pooled 2x2.
    pub pool: bool,
    /// Bias of the query, key and value projection: what a padded token's row is.
    pub bias: Slice<'a>,
    /// Precision of the products around it. In bf16 its own products are bf16 too if there is a tensor-core kernel for the
    /// width of its heads; else they are single precision.
    pub precision: Precision,
}

/// The result of attention.
#[derive(Debug)]
pub struct Attended {
    /// Output `(queries, heads dim)`, as an operand for products of the precision.
    pub out: Operand,
    /// Each query's and head's largest score and what its weights were scaled by: `(queries, heads, 2)`.
    statistics: Scratch,
}

/// The kernels for one tile size, one line at the end of `attention.cu` or `attention_tensor.cu`.
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

/// The same for tensor cores, which have no kernels for wider heads.
const TENSOR_TILES: [Tiles; 6] = [
    tiles!(on tensor cores: "64_few", 64, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "80_few", 80, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "96_few", 96, 16, (16, 32), (16, 32)),
    tiles!(on tensor cores: "64", 64, usize::MAX, (64, 128), (64, 128)),
    tiles!(on tensor cores: "80", 80, usize::MAX, (64, 128), (64, 128)),
    tiles!(on tensor cores: "96", 96, usize::MAX, (64, 128), (64, 128)),
];

impl Tiles {
    fn of(dim: usize, tokens: usize, precision: Precision) -> Result<&'static Self, GpuError> {
        let holds = |tiles: &&Tiles| dim <= tiles.width && tokens <= tiles.tokens;
        let tensor = TENSOR_TILES.iter().filter(|_| precision == Precision::Bf16).find(holds);
        let found = tensor.or_else(|| TILES.iter().find(holds));
        found.ok_or(GpuError::UNSUPPORTED_SIZE)
    }

    /// Whether they write numbers of bf16.
    fn round(&self) -> bool {
        self.file.name == ATTENTION_TENSOR.name
    }
}

impl Attention<'_> {
    /// A global attention's window is the map.
    fn window(&self) -> Extent {
        if self.window == 0 { self.map } else { Extent::square(self.window) }
    }

    /// Queries of a map.
    fn queries(&self) -> usize {
        self.map.area() / if self.pool { 4 } else { 1 }
    }

    /// Blocks: tiles of a window's rows, heads, maps.
    fn grid(&self, rows_of_window: usize, rows_of_tile: usize) -> [u32; 3] {
        let (map, window) = (self.map, self.window());
        let windows = map.height.div_ceil(window.height) * map.width.div_ceil(window.width);
        [blocks(windows * rows_of_window.div_ceil(rows_of_tile), 1), blocks(self.heads, 1), blocks(self.maps, 1)]
    }

    /// How projections and the output's gradient are stored, for products of which it takes them.
    pub fn stored(&self) -> Result<Precision, GpuError> {
        Ok(if self.tiles()?.round() { Precision::Bf16 } else { Precision::F32 })
    }

    fn check(&self, qkv: &Operand) {
        let channels = self.heads * self.dim;
        assert_eq!(self.bias.len(), 3 * channels);
        assert_eq!(qkv.len(), self.maps * self.map.area() * 3 * channels);
        assert_eq!(self.stored().ok(), Some(qkv.precision()));
        let even = |extent: Extent| extent.height.is_multiple_of(2) && extent.width.is_multiple_of(2);
        assert!(!self.pool || (even(self.map) && even(self.window())), "a pool takes pairs");
    }

    /// `softmax(q k^T / sqrt(dim)) v`; `qkv` are projections of all tokens, `(n, 3 heads dim)`, without their bias,
    /// as [`stored`](Self::stored) says.
    pub fn forward(&self, gpu: &Gpu, qkv: &Operand) -> Result<Attended, GpuError> {
        self.check(qkv);
        let rows = self.maps * self.queries() * self.heads;
        let tiles = self.tiles()?;
        let Tiles { file, kernels: [kernel, ..], forward: (tile, threads), .. } = *tiles;
        let (len, statistics) = (rows * self.dim, gpu.scratch(2 * rows)?);
        let grid = self.grid(self.queries_of_window(), tile);
        let [height, width, window_height, window_width, heads, dim, pool] = self.numbers();
        let launch = |out| {
            let args = args![
                height,
                width,
                window_height,
                window_width,
                heads,
                dim,
                pool,
                self.scale(),
                qkv,
                self.bias,
                out,
                &statistics
            ];
            // SAFETY: projections and bias have the lengths just checked; the results have a row for each query and head,
            // `out` as the kernel writes it.
            unsafe { gpu.launch(file, kernel, grid, [threads, 1, 1], 0, args) }
        };
        let out = self.made(gpu, tiles, len, launch)?;
        Ok(Attended { out, statistics })
    }

    /// The gradient of [`forward`](Self::forward)'s input, `(n, 3 heads dim)`, as a product of the precision takes it; `gout`
    /// is that of its output.
    pub fn backward(&self, gpu: &Gpu, qkv: &Operand, attended: &Attended, gout: &Operand) -> Result<Operand, GpuError> {
        self.check(qkv);
        let Attended { out, statistics } = attended;
        let rows = self.maps * self.queries() * self.heads;
        assert!(gout.len() == rows * self.dim && out.len() == gout.len() && out.precision() == self.precision);
        assert!(statistics.len() == 2 * rows && gout.precision() == qkv.precision());
        let dots = gpu.scratch(rows)?;
        let tiles = self.tiles()?;
        let Tiles { file, kernels: [_, queries, keys], backward: (tile, threads), .. } = *tiles;
        let [height, width, window_height, window_width, heads, dim, pool] = self.numbers();
        let kernel = match (out.precision(), gout.precision()) {
            (Precision::Bf16, Precision::Bf16) => "attention_dots_all_bf16",
            (Precision::Bf16, _) => "attention_dots_bf16",
            _ => "attention_dots",
        };
        // SAFETY: output and gradient, as the kernel reads them, have `dim` numbers for each of `rows` queries and heads,
        // `dots` one.
        unsafe { over_rows(gpu, rows, ATTENTION, kernel, args![rows, dim, out, gout, &dots]) }?;
        self.made(gpu, tiles, qkv.len(), |gqkv| {
            for (kernel, rows) in [(queries, self.queries_of_window()), (keys, self.window().area())] {
                let scale = self.scale();
                let args = args![
                    height,
                    width,
                    window_height,
                    window_width,
                    heads,
                    dim,
                    pool,
                    scale,
                    qkv,
                    self.bias,
                    statistics,
                    &dots,
                    gout,
                    gqkv
                ];
                // SAFETY: as in `forward`; the gradient has a number for each of the projections, as the kernel writes it.
                unsafe { gpu.launch(file, kernel, self.grid(rows, tile), [threads, 1, 1], 0, args) }?;
            }
            Ok(())
        })
    }

    fn tiles(&self) -> Result<&'static Tiles, GpuError> {
        Tiles::of(self.dim, self.window().area(), self.precision)
    }

    /// `len` numbers that kernels write at an address, as a product of the precision takes them.
    fn made(
        &self,
        gpu: &Gpu,
        tiles: &Tiles,
        len: usize,
        write: impl FnOnce(u64) -> Result<(), GpuError>,
    ) -> Result<Operand, GpuError> {
        if tiles.round() {
            let made = gpu.operand(len, Precision::Bf16)?;
            write(made.address())?;
            return Ok(made);
        }
        let made = gpu.scratch(len)?;
        write(made.address())?;
        rounded_away(gpu, made, self.precision)
    }

    /// Queries of a window, at most.
    fn queries_of_window(&self) -> usize {
        self.window().area() / if self.pool { 4 } else { 1 }
    }

    fn numbers(&self) -> [i32; 7] {
        let (map, window) = (self.map, self.window());
        [map.height, map.width, window.height, window.width, self.heads, self.dim, usize::from(self.pool)]
            .map(|n| n as i32)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

#[cfg(test)]
mod tests;
