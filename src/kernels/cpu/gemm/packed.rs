//! The right operand of a product, packed into panels as micro-kernels read it, and the left operand's lanes that fit it.

use super::micro::isa;
use super::micro::kernel::MicroKernel;
use super::operand::WIDEST;
use super::panels::Panels;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::vector::bf16::{interleave_bf16_rows, round_bf16_pair, round_bf16_rows, split_bf16_pairs};
use crate::kernels::cpu::vector::transpose::transpose_into;
use crate::kernels::encoded::Encoded;
use crate::kernels::precision::Precision;
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// Columns packed at once: every panel's width is a multiple of it.
const BLOCK: usize = 8;

/// The right operand of a product: a matrix whose columns the rows of the left operand are multiplied by.
///
/// It is cut into panels of as many columns as a tile is wide, zeros to the right of the last column. A panel is stored row
/// after row, a row holds one lane of each column. In single precision a lane is a number; in bf16 it is two numbers that
/// follow one another in a column ([`operand`](super::operand) defines lanes). The depth of a column is counted in lanes.
#[derive(Debug)]
pub struct Packed {
    kernel: &'static MicroKernel,
    /// Whether panels hold pairs of bf16 numbers. If so, and the micro-kernel multiplies single precision, each panel is
    /// widened to single precision just before it is used.
    pairs: bool,
    /// Lanes of a column.
    depth: usize,
    /// Numbers of a column.
    inputs: usize,
    columns: usize,
    panels: Panels,
}

impl Default for Packed {
    fn default() -> Self {
        Self::empty(Precision::F32)
    }
}

/// A left operand's lanes.
pub enum Lanes<'x> {
    /// Single precision numbers, in place.
    F32(&'x [f32]),
    /// Pairs of numbers rounded to bf16.
    Bf16Pairs(Buffer),
}

impl Deref for Lanes<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::F32(numbers) => numbers,
            Self::Bf16Pairs(lanes) => lanes,
        }
    }
}

/// The lanes of rows of `columns` numbers each: pairs of bf16 numbers, or the numbers as they are.
fn lanes_of(pairs: bool, x: &[f32], columns: usize) -> Lanes<'_> {
    if !pairs {
        return Lanes::F32(x);
    }
    let mut lanes = Buffer::new(x.len() / columns * columns.div_ceil(2));
    round_bf16_rows(x, columns, &mut lanes);
    Lanes::Bf16Pairs(lanes)
}

/// Writes a panel, in rows of `width` lanes: the given columns, each as many lanes long as the panel has rows, and zeros
/// to the right of them.
fn set_panel<'a>(panel: &mut [f32], width: usize, columns: Range<usize>, column: impl Fn(usize) -> &'a [f32]) {
    let depth = panel.len() / width;
    for first in columns.clone().step_by(BLOCK) {
        // Columns past the last are read as the last one, and cleared below.
        let block: [&[f32]; BLOCK] = std::array::from_fn(|i| &column((first + i).min(columns.end - 1))[..depth]);
        transpose_into(block, first - columns.start, width, panel);
    }
    if columns.len() < width {
        panel.chunks_exact_mut(width).for_each(|row| row[columns.len()..].fill(0.0));
    }
}

/// Properties of the operand, and left operands to match it.
impl Packed {
    /// An empty operand for products in this precision, or in single precision where the machine has no other.
    pub fn empty(precision: Precision) -> Self {
        let single = isa::single_precision()[0];
        let kernel = match precision {
            Precision::F32 | Precision::Tf32 => single,
            Precision::Bf16 => isa::bf16().unwrap_or(single),
        };
        Self::empty_for(kernel, kernel.packs_pairs)
    }

    /// The same for one micro-kernel. `pairs`: whether panels hold pairs of bf16 numbers.
    pub(super) fn empty_for(kernel: &'static MicroKernel, pairs: bool) -> Self {
        Self { kernel, pairs, depth: 0, inputs: 0, columns: 0, panels: Panels::default() }
    }

    /// The same as [`empty`](Self::empty) for a frozen weight, which is held in this precision on every machine.
    fn empty_frozen(precision: Precision) -> Self {
        Self { pairs: precision == Precision::Bf16, ..Self::empty(precision) }
    }

    /// What products are computed in on this machine where this precision is asked for.
    pub fn computed_in(precision: Precision) -> Precision {
        Self::empty(precision).precision()
    }

    /// Name of the instruction set that multiplies in `precision`.
    pub fn instructions(precision: Precision) -> &'static str {
        Self::empty(precision).kernel.name
    }

    /// The micro-kernel that it is packed for.
    pub(super) fn kernel(&self) -> &'static MicroKernel {
        self.kernel
    }

    /// Columns of the operand.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers of a column.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Precision in which its products are computed.
    pub fn precision(&self) -> Precision {
        if self.kernel.packs_pairs { Precision::Bf16 } else { Precision::F32 }
    }

    /// How many lanes `numbers` consecutive numbers of a row of the left operand take.
    pub fn lanes_in(&self, numbers: usize) -> usize {
        if self.kernel.packs_pairs { numbers.div_ceil(2) } else { numbers }
    }

    /// How many lanes `numbers` consecutive numbers of a column take.
    fn column_lanes(&self, numbers: usize) -> usize {
        if self.pairs { numbers.div_ceil(2) } else { numbers }
    }

    /// Lanes of the left operand that meet one lane of a column: two if panels are widened before use.
    pub(super) fn left_lanes_per_lane(&self) -> usize {
        if self.pairs && !self.kernel.packs_pairs { 2 } else { 1 }
    }

    /// Lanes of the left operand that meet a whole column.
    pub(super) fn left_depth(&self) -> usize {
        self.depth * self.left_lanes_per_lane()
    }

    /// All panels, one after the other.
    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// The rows of panel `j` that meet lanes `from..to` of the left operand.
    pub(super) fn panel(&self, j: usize, from: usize, to: usize) -> &[f32] {
        let (width, per_lane) = (self.kernel.panel_width(), self.left_lanes_per_lane());
        let (from, to) = (from / per_lane, to.div_ceil(per_lane));
        &self.panels[(j * self.depth + from) * width..(j * self.depth + to) * width]
    }

    /// A matrix of rows of `columns` numbers as the left operand of a product with this one.
    pub fn left_matrix<'x>(&self, x: &'x [f32], columns: usize) -> Lanes<'x> {
        lanes_of(self.kernel.packs_pairs, x, columns)
    }

    /// Rows of one length as the left operand of a product with this one. If they must be rounded, the result is
    /// stored in `buffer`.
    pub fn left_rows<'r>(&self, rows: &[&'r [f32]], buffer: &'r mut Buffer) -> Vec<&'r [f32]> {
        let columns = rows.first().map_or(0, |row| row.len());
        if !self.kernel.packs_pairs || columns == 0 {
            return rows.to_vec();
        }
        let length = self.lanes_in(columns);
        *buffer = Buffer::new(rows.len() * length);
        for (row, lanes) in rows.iter().zip(buffer.chunks_exact_mut(length)) {
            round_bf16_rows(row, columns, lanes);
        }
        buffer.chunks_exact(length).collect()
    }

    /// A matrix of rows of `columns` numbers as the left operand of a
    /// [`transposed_product`](super::driver::transposed_product) with this one.
    pub fn left_transposed<'x>(&self, x: &'x [f32], columns: usize) -> Lanes<'x> {
        if !self.kernel.packs_pairs {
            return Lanes::F32(x);
        }
        let mut lanes = Buffer::new((x.len() / columns).div_ceil(2) * columns);
        let zeros = Buffer::zeros(columns);
        for (pair, lanes) in x.chunks(2 * columns).zip(lanes.chunks_exact_mut(columns)) {
            let (first, second) = pair.split_at(columns);
            round_bf16_pair(first, if second.is_empty() { &zeros } else { second }, lanes);
        }
        Lanes::Bf16Pairs(lanes)
    }
}

/// Packing.
impl Packed {
    /// Makes room for `columns` columns of `inputs` numbers in `depth` lanes.
    pub(super) fn reset(&mut self, inputs: usize, depth: usize, columns: usize) {
        (self.inputs, self.depth, self.columns) = (inputs, depth, columns);
        let width = self.kernel.panel_width();
        self.panels.reset(columns.div_ceil(width) * width * depth);
    }

    /// Packs a matrix of `count` rows, row `p` being `row(p)`; the buffer is reused.
    pub fn set_rows<'a>(&mut self, count: usize, columns: usize, row: impl Fn(usize) -> &'a [f32]) {
        debug_assert_eq!(self.pairs, self.kernel.packs_pairs, "held as it is multiplied");
        let depth = self.lanes_in(count);
        self.reset(count, depth, columns);
        let (width, pairs) = (self.kernel.panel_width(), self.kernel.packs_pairs);
        let zeros = Buffer::zeros(if pairs && count % 2 == 1 { columns } else { 0 });
        for p in 0..depth {
            let (first, second) = match pairs {
                false => (row(p), None),
                true => (row(2 * p), Some(if 2 * p + 1 < count { row(2 * p + 1) } else { &zeros })),
            };
            for (j, part) in first[..columns].chunks(width).enumerate() {
                let to = &mut self.panels[(j * depth + p) * width..][..width];
                match second {
                    None => to[..part.len()].copy_from_slice(part),
                    Some(second) => round_bf16_pair(part, &second[j * width..columns], to),
                }
                to[part.len()..].fill(0.0);
            }
        }
    }

    /// The same for an even number of columns in bf16 whose rows are given as lanes, two numbers each.
    pub fn set_rows_of_lanes(&mut self, rows: &[&[f32]], columns: usize) {
        assert!(self.kernel.packs_pairs && columns.is_multiple_of(2), "lanes of two numbers");
        let depth = self.lanes_in(rows.len());
        self.reset(rows.len(), depth, columns);
        let width = self.kernel.panel_width();
        let zeros = Buffer::zeros(if rows.len() % 2 == 1 { columns / 2 } else { 0 });
        for (p, pair) in rows.chunks(2).enumerate() {
            let (first, second) = (pair[0], pair.get(1).copied().unwrap_or(&zeros));
            let parts = first[..columns / 2].chunks(width / 2).zip(second[..columns / 2].chunks(width / 2));
            for (j, (first, second)) in parts.enumerate() {
                let to = &mut self.panels[(j * depth + p) * width..][..width];
                interleave_bf16_rows(first, second, to);
                to[2 * first.len()..].fill(0.0);
            }
        }
    }

    /// Packs a bf16 matrix of `depth` lanes, a multiple of `block`, times `columns`. `fill` is called by all threads for each
    /// block of `block` rows of a panel: with the block's number, the panel's columns, and where to write their lanes, in rows
    /// of as many lanes as the last number says. The buffer is reused.
    pub fn set_blocks(
        &mut self,
        [depth, columns]: [usize; 2],
        block: usize,
        fill: impl Fn(usize, Range<usize>, (&mut [f32], usize)) + Sync,
    ) {
        assert!(self.kernel.packs_pairs, "lanes of two numbers");
        self.reset(2 * depth, depth, columns);
        let width = self.kernel.panel_width();
        let mut blocks: Vec<Vec<&mut [f32]>> = (0..depth / block).map(|_| Vec::new()).collect();
        for panel in self.panels.chunks_exact_mut(depth * width) {
            blocks.iter_mut().zip(panel.chunks_exact_mut(block * width)).for_each(|(block, rows)| block.push(rows));
        }
        blocks.into_par_iter().with_min_len(4).enumerate().for_each(|(i, panels)| {
            for (j, rows) in panels.into_iter().enumerate() {
                let columns = j * width..columns.min((j + 1) * width);
                if columns.len() < width {
                    rows.fill(0.0);
                }
                fill(i, columns, (rows, width));
            }
        });
    }

    /// Packs a matrix whose column `j` is `columns[j]`, of `inputs` numbers; the buffer is reused.
    pub fn set_columns(&mut self, inputs: usize, columns: &[&[f32]]) {
        debug_assert_eq!(self.pairs, self.kernel.packs_pairs, "held as it is multiplied");
        let mut buffer = Buffer::default();
        let lanes = self.left_rows(columns, &mut buffer);
        self.set_columns_of_lanes(inputs, &lanes);
    }

    /// The same for columns that are given as lanes.
    pub fn set_columns_of_lanes(&mut self, inputs: usize, lanes: &[&[f32]]) {
        let (depth, count) = (self.lanes_in(inputs), lanes.len());
        self.reset(inputs, depth, count);
        let width = self.kernel.panel_width();
        for (j, panel) in self.panels.chunks_mut((depth * width).max(1)).enumerate() {
            set_panel(panel, width, j * width..count.min((j + 1) * width), |j| lanes[j]);
        }
    }

    /// Declares the zeros to the right of the last column to be columns, up to a whole vector: tiles write whole vectors
    /// without a detour. Gives how many columns there are then.
    pub fn pad_columns(&mut self) -> usize {
        self.columns = self.columns.next_multiple_of(self.kernel.lanes);
        self.columns
    }

    /// The transpose of a matrix given as rows of `inputs` numbers: the operand that a linear layer's weight `(out, in)` is
    /// in its forward pass.
    pub fn from_columns(matrix: &[f32], inputs: usize, precision: Precision) -> Self {
        Self::from_runs(matrix, inputs, 1, precision)
    }

    /// The same for a frozen weight, held in this precision even where products are computed in another.
    pub fn frozen(matrix: &[f32], inputs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty_frozen(precision);
        packed.set_runs(matrix, inputs, 1);
        packed
    }

    /// The same as [`from_columns`](Self::from_columns) for rows of `runs` runs of `run` numbers. Each run begins a new lane.
    pub fn from_runs(matrix: &[f32], run: usize, runs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty(precision);
        packed.set_runs(matrix, run, runs);
        packed
    }

    /// [`frozen`](Self::frozen) for a matrix encoded as in a file, decoded once by all threads.
    pub fn from_encoded(matrix: &Encoded<'_>, inputs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty_frozen(precision);
        let width = packed.kernel.panel_width();
        let (depth, columns) = (packed.column_lanes(inputs), matrix.len() / inputs);
        // Memory that nobody has touched yet: each thread touches its own part first.
        let mut panels = Panels::zeros(columns.div_ceil(width) * width * depth);
        panels.par_chunks_mut(depth * width).enumerate().for_each(|(j, panel)| {
            let here = width.min(columns - j * width);
            let mut numbers = Buffer::new(here * inputs);
            matrix.read(j * width * inputs, &mut numbers);
            let lanes = lanes_of(packed.pairs, &numbers, inputs);
            set_panel(panel, width, 0..here, |i| &lanes[i * depth..][..depth]);
        });
        (packed.inputs, packed.depth, packed.columns, packed.panels) = (inputs, depth, columns, panels);
        packed
    }

    pub(super) fn set_runs(&mut self, matrix: &[f32], run: usize, runs: usize) {
        let (inputs, depth) = (run * runs, self.column_lanes(run) * runs);
        let (pairs, width, columns) = (self.pairs, self.kernel.panel_width(), matrix.len() / inputs);
        self.reset(inputs, depth, columns);
        let panels = self.panels.par_chunks_mut(depth * width).zip(matrix.par_chunks(inputs * width));
        panels.for_each(|(panel, matrix)| {
            let lanes = lanes_of(pairs, matrix, run);
            set_panel(panel, width, 0..matrix.len() / inputs, |j| &lanes[j * depth..][..depth]);
        });
    }
}

/// Transposing and unpacking.
impl Packed {
    /// The transpose: the operand for the gradient of a linear layer's input.
    pub fn transposed(&self) -> Self {
        let (width, inputs, columns) = (self.kernel.panel_width(), self.columns, self.inputs);
        let depth = self.column_lanes(inputs);
        let mut panels = Panels::zeros(columns.div_ceil(width) * width * depth);
        panels.par_chunks_mut(depth * width).enumerate().for_each(|(j, panel)| match self.pairs {
            false => self.transpose_f32_panel(j, panel),
            true => self.transpose_bf16_panel(j, panel),
        });
        Self { kernel: self.kernel, pairs: self.pairs, inputs, depth, columns, panels }
    }

    /// Writes panel `j` of the transpose, in single precision, into zeros.
    fn transpose_f32_panel(&self, j: usize, panel: &mut [f32]) {
        let width = self.kernel.panel_width();
        let here = width.min(self.depth - j * width);
        let zeros = [0.0; WIDEST];
        for (from, to) in self.panels.chunks_exact(self.depth * width).zip(panel.chunks_mut(width * width)) {
            let length = to.len() / width;
            for (g, rows) in from[j * width * width..][..here * width].chunks(BLOCK * width).enumerate() {
                let row = |i: usize| rows.chunks_exact(width).nth(i).unwrap_or(&zeros);
                transpose_into(std::array::from_fn(|i| &row(i)[..length]), g * BLOCK, width, to);
            }
        }
    }

    /// Writes panel `j` of the transpose, in bf16, into zeros. The numbers of two lanes side by side, a 2x2 block, become two
    /// lanes one below the other.
    fn transpose_bf16_panel(&self, j: usize, panel: &mut [f32]) {
        let (width, half) = (self.kernel.panel_width(), self.kernel.panel_width() / 2);
        let here = half.min(self.depth - j * half);
        for (from, to) in self.panels.chunks_exact(self.depth * width).zip(panel.chunks_mut(half * width)) {
            let length = to.len() / width;
            for (g, rows) in from[j * half * width..][..here * width].chunks(BLOCK / 2 * width).enumerate() {
                let mut columns = [[0.0; WIDEST / 2]; BLOCK];
                for ([low, high], row) in columns.as_chunks_mut::<2>().0.iter_mut().zip(rows.chunks_exact(width)) {
                    split_bf16_pairs(row, low, high);
                }
                transpose_into(columns.each_ref().map(|column| &column[..length]), g * BLOCK, width, to);
            }
        }
    }

    /// The numbers that [`from_columns`](Self::from_columns) was given, rounded if this is bf16.
    pub fn to_columns(&self) -> Vec<f32> {
        let (width, pairs) = (self.kernel.panel_width(), self.pairs);
        let column = |j: usize| {
            let panel = &self.panels[j / width * self.depth * width..][..self.depth * width];
            let numbers = panel.chunks_exact(width).flat_map(move |row| {
                let lane = row[j % width];
                match pairs {
                    false => [Some(lane), None],
                    true => [lane.to_bits() << 16, lane.to_bits() & 0xffff_0000].map(|b| Some(f32::from_bits(b))),
                }
            });
            numbers.flatten().take(self.inputs)
        };
        (0..self.columns).flat_map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::{flipped, numbers, rounded};

    #[test]
    fn an_operand_from_a_file_is_the_same_as_one_from_numbers() {
        for ([inputs, columns], precision) in [[1, 1], [7, 33], [64, 70], [147, 32]]
            .into_iter()
            .flat_map(|size| [Precision::F32, Precision::Bf16].map(|precision| (size, precision)))
        {
            let matrix = numbers(inputs * columns, 6);
            let bytes: Vec<u8> = matrix.iter().flat_map(|x| x.to_le_bytes()).collect();
            let encoded = Encoded::new(bytes.into(), 4, |bytes, to| {
                for (to, bytes) in to.iter_mut().zip(bytes.as_chunks().0) {
                    *to = f32::from_le_bytes(*bytes);
                }
            });
            let (read, made) =
                (Packed::from_encoded(&encoded, inputs, precision), Packed::frozen(&matrix, inputs, precision));
            assert_eq!((read.inputs, read.depth, read.columns), (made.inputs, made.depth, made.columns));
            let bits = |packed: &Packed| packed.panels.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(&made), "{inputs} {columns} {precision:?}");
        }
    }

    #[test]
    fn an_operand_is_given_back_as_it_was_also_transposed() {
        let (inputs, columns) = (70, 41);
        let matrix = numbers(inputs * columns, 2);
        for (kernel, pairs) in isa::single_precision().iter().flat_map(|kernel| [(*kernel, false), (*kernel, true)]) {
            let mut packed = Packed::empty_for(kernel, pairs);
            packed.set_runs(&matrix, inputs, 1);
            let held = if pairs { rounded(&matrix) } else { matrix.clone() };
            assert_eq!(packed.to_columns(), held, "{kernel:?} {pairs}");
            let turned = packed.transposed();
            assert_eq!((turned.inputs, turned.columns), (columns, inputs));
            assert_eq!(turned.to_columns(), flipped(&held, inputs), "{kernel:?} {pairs}");
        }
    }
}
