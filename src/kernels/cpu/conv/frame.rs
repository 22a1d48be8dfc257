//! A map rounded to bf16, with zeros around it.

use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::gemm::panels::LineBuffer;
use crate::kernels::cpu::gemm::tiled::{BLOCK_ROWS, RowBlock, TILE_ROWS};
use crate::kernels::cpu::vector::bf16::round_bf16_rows;
use crate::kernels::extent::Extent;
use rayon::prelude::*;

/// Maps in bf16, neighbouring channels sharing a 32-bit lane, with zeros between their lines, and between and around the maps.
/// So what a tap reads lies the same distance from every pixel.
pub(super) struct PaddedMap {
    /// After the last map's padding follow zeros for the pixels that a block of pixels reads beyond its last one.
    pub lanes: LineBuffer,
    /// Lanes of a pixel.
    pub pixel: usize,
    /// Pixels from a line to the next.
    pub line: usize,
    /// Lines from a map to the next.
    map: usize,
    /// Lines before a map, and pixels before a line, that are zeros.
    padding: [usize; 2],
    extent: Extent,
}

impl PaddedMap {
    /// Rounds maps of so many channels, by all threads; the padding is as wide as the kernel reaches.
    pub fn new(x: &[f32], channels: usize, size: &ConvSize) -> Self {
        let (extent, padding, pixel) = (size.map, size.reach(), channels.div_ceil(2));
        let Extent { height, width } = extent;
        let (line, map) = (width + padding[1], height + padding[0]);
        let lines = size.batch * map + padding[0];
        let mut lanes = LineBuffer::shared((lines * line + padding[1] + TILE_ROWS - 1) * pixel);
        lanes.par_chunks_mut(line * pixel).with_min_len(8).enumerate().for_each(|(i, lanes)| {
            let (map, y) = (i / map, (i % map).wrapping_sub(padding[0]));
            if map >= size.batch || y >= height {
                return lanes.fill(0.0);
            }
            let (before, lanes) = lanes.split_at_mut(padding[1] * pixel);
            before.fill(0.0);
            round_bf16_rows(&x[(map * height + y) * width * channels..][..width * channels], channels, lanes);
        });
        Self { lanes, pixel, line, map, padding, extent }
    }

    /// Calls `each` for the parts of lines that pixels `from..from + count` are, counted over the whole batch: with how
    /// many pixels came before, where the first one begins among the lanes, and how many there are.
    fn parts_of_lines(&self, from: usize, count: usize, mut each: impl FnMut(usize, usize, usize)) {
        let Extent { height, width } = self.extent;
        let (mut pixel, end) = (from, from + count);
        while pixel < end {
            let (line, px) = (pixel / width, pixel % width);
            let (map, y) = (line / height, line % height);
            let here = (width - px).min(end - pixel);
            let start = (map * self.map + self.padding[0] + y) * self.line + self.padding[1] + px;
            each(pixel - from, start * self.pixel, here);
            pixel += here;
        }
    }

    /// Where pixels `from..from + count`, counted over the whole batch, begin among the lanes.
    pub fn pixel_starts(&self, from: usize, count: usize, starts: &mut Vec<usize>) {
        starts.clear();
        self.parts_of_lines(from, count, |_, start, here| {
            starts.extend((0..here).map(|i| start + i * self.pixel));
        });
    }

    /// The same pixels as blocks of neighbours on a line. Each block begins `shift` lanes from its first pixel.
    pub fn blocks(&self, from: usize, count: usize, shift: isize, blocks: &mut Vec<RowBlock>) {
        blocks.clear();
        self.parts_of_lines(from, count, |row, start, here| {
            blocks.extend((0..here).step_by(BLOCK_ROWS).map(|i| RowBlock {
                start: (start + i * self.pixel).strict_add_signed(shift),
                row: row + i,
                rows: BLOCK_ROWS.min(here - i),
            }));
        });
    }
}
