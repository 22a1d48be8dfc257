//! Matrix products. The right factor is packed once into panels as wide as a tile ([`Packed`]); the left one
//! is read where it stands, row by row, so that rows may lie anywhere: in a map, in a window, under a
//! kernel's tap. No number depends on how rows are shared among threads.

use super::profile::{Kind, scope};
use super::scratch::Scratch;
use super::tile::{Before, Isa, Left, MOST_ROWS, Runs, WIDEST, tile};
use super::vector::bf16::{round_bf16_pair, round_bf16_rows, split_bf16_pairs, widen_bf16_rows};
use super::vector::rows::{Rows, add_assign, add_rows, gelu_add_rows, gelu_rows, relu_rows};
use super::vector::transpose::transpose_into;
use crate::nn::Precision;
use crate::nn::weights::Encoded;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::ops::{Deref, Range};
use std::time::Instant;

/// Words summed in one go, at least where there are as many, and less than twice of them: such a panel stays in the first
/// caches, and sums of sums are rounded less.
const DEPTH: usize = 192;

/// Rows of a part of a weight's gradient.
const PART_ROWS: usize = 1024;
/// Rows of those summed in one go.
const SUMMED_ROWS: usize = 128;
/// Columns packed at once: every panel's width is a multiple of it.
const BLOCK: usize = 8;

/// The right factor of a product, as tiles read it: cut into panels of a tile's width, each panel row after row, zeros
/// to its right. A row holds a word for each column: a number, or, rounded to bf16, two of those that follow each other
/// in the column.
#[derive(Debug)]
pub struct Packed {
    isa: Isa,
    /// Whether a word is a pair of numbers. If the set multiplies none of those, each panel is widened before its products.
    pairs: bool,
    /// Words of a column.
    depth: usize,
    /// Numbers of a column.
    inputs: usize,
    columns: usize,
    panels: Vec<f32>,
}

impl Default for Packed {
    fn default() -> Self {
        Self::empty(Precision::F32)
    }
}

/// Rows of numbers as a factor reads them.
pub enum Words<'x> {
    /// As they were.
    Numbers(&'x [f32]),
    /// Rounded to bf16, two to a word.
    Halves(Scratch),
}

impl Deref for Words<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Halves(words) => words,
        }
    }
}

/// Rows of `columns` numbers, two to a word or as they are.
fn words(pairs: bool, x: &[f32], columns: usize) -> Words<'_> {
    if !pairs {
        return Words::Numbers(x);
    }
    let mut words = Scratch::new(x.len() / columns * columns.div_ceil(2));
    round_bf16_rows(x, columns, &mut words);
    Words::Halves(words)
}

/// One panel of a factor, rows of `width` words: some of the columns, each as long as the panel is deep, and zeros beside
/// them.
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

impl Packed {
    /// An empty factor for products in this precision, or in single precision where the machine has no other.
    pub fn empty(precision: Precision) -> Self {
        let single = Isa::available()[0];
        let isa = match precision {
            Precision::F32 | Precision::Tf32 => single,
            Precision::Bf16 => Isa::bf16().unwrap_or(single),
        };
        Self { isa, pairs: isa.halves(), depth: 0, inputs: 0, columns: 0, panels: Vec::new() }
    }

    /// The same for a frozen weight, which is held in this precision on every machine.
    fn empty_frozen(precision: Precision) -> Self {
        Self { pairs: precision == Precision::Bf16, ..Self::empty(precision) }
    }

    /// What products are computed in on this machine where this precision is asked for.
    pub fn computed_in(precision: Precision) -> Precision {
        Self::empty(precision).precision()
    }

    /// Columns of the factor.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What its products are computed in.
    pub fn precision(&self) -> Precision {
        if self.isa.halves() { Precision::Bf16 } else { Precision::F32 }
    }

    /// Words of a run of `numbers` numbers of the left factor.
    pub fn words_in(&self, numbers: usize) -> usize {
        if self.isa.halves() { numbers.div_ceil(2) } else { numbers }
    }

    /// Rows of `columns` numbers as the left factor of a product with this one.
    pub fn words<'x>(&self, x: &'x [f32], columns: usize) -> Words<'x> {
        words(self.isa.halves(), x, columns)
    }

    /// Words of a run of `numbers` numbers of a column.
    fn column_words(&self, numbers: usize) -> usize {
        if self.pairs { numbers.div_ceil(2) } else { numbers }
    }

    /// Words of the left factor that a column meets.
    fn left_depth(&self) -> usize {
        self.depth * self.left_words_in_word()
    }

    /// Words of the left factor for each of a column's: two where panels are widened.
    fn left_words_in_word(&self) -> usize {
        if self.pairs && !self.isa.halves() { 2 } else { 1 }
    }

    fn reset(&mut self, inputs: usize, depth: usize, columns: usize) {
        (self.inputs, self.depth, self.columns) = (inputs, depth, columns);
        let length = columns.div_ceil(self.isa.columns()) * self.isa.columns() * depth;
        self.panels.resize(length, 0.0);
    }

    /// A factor of `count` rows, row `p` being `row(p)`; the buffer is used again.
    pub fn set_rows<'a>(&mut self, count: usize, columns: usize, row: impl Fn(usize) -> &'a [f32]) {
        debug_assert_eq!(self.pairs, self.isa.halves(), "held as it is multiplied");
        let depth = self.words_in(count);
        self.reset(count, depth, columns);
        let (width, halves) = (self.isa.columns(), self.isa.halves());
        let zeros = Scratch::zeros(if halves && count % 2 == 1 { columns } else { 0 });
        for p in 0..depth {
            let (first, second) = match halves {
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

    /// A factor in bf16 of `depth` words, a multiple of `block`. `fill` writes block after block of rows, by all threads and for
    /// each panel's columns: rows of as many words as are given last. The buffer is used again.
    pub fn set_blocks(
        &mut self,
        [depth, columns]: [usize; 2],
        block: usize,
        fill: impl Fn(usize, Range<usize>, (&mut [f32], usize)) + Sync,
    ) {
        assert!(self.isa.halves(), "words of two numbers");
        self.reset(2 * depth, depth, columns);
        let width = self.isa.columns();
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

    /// Rows of `columns` numbers as the left factor of a [`transposed_product`] with this one.
    pub fn row_words<'x>(&self, x: &'x [f32], columns: usize) -> Words<'x> {
        if !self.isa.halves() {
            return Words::Numbers(x);
        }
        let mut words = Scratch::new((x.len() / columns).div_ceil(2) * columns);
        let zeros = Scratch::zeros(columns);
        for (pair, words) in x.chunks(2 * columns).zip(words.chunks_exact_mut(columns)) {
            let (first, second) = pair.split_at(columns);
            round_bf16_pair(first, if second.is_empty() { &zeros } else { second }, words);
        }
        Words::Halves(words)
    }

    /// A factor whose column `j` is `column(j)`, `depth` words of `inputs` numbers; the buffer is used again.
    fn set_words<'a>(&mut self, [inputs, depth, columns]: [usize; 3], column: impl Fn(usize) -> &'a [f32]) {
        debug_assert_eq!(self.pairs, self.isa.halves(), "held as it is multiplied");
        self.reset(inputs, depth, columns);
        let width = self.isa.columns();
        for (j, panel) in self.panels.chunks_mut((depth * width).max(1)).enumerate() {
            set_panel(panel, width, j * width..columns.min((j + 1) * width), &column);
        }
    }

    /// A factor whose column `j` is `columns[j]`; the buffer is used again.
    pub fn set_columns(&mut self, inputs: usize, columns: &[&[f32]]) {
        let mut room = Scratch::default();
        let words = self.left(columns, &mut room);
        self.set_words([inputs, self.words_in(inputs), words.len()], |j| words[j]);
    }

    /// Counts zeros that stand to the right of the columns as such, up to whole vectors, which tiles write without a detour.
    /// Gives how many columns there are then.
    pub fn fill_up(&mut self) -> usize {
        self.columns = self.columns.next_multiple_of(self.isa.lanes());
        self.columns
    }

    /// Rows of one length as the left factor of a product with this one; those that are rounded stand in `room`.
    pub fn left<'r>(&self, rows: &[&'r [f32]], room: &'r mut Scratch) -> Vec<&'r [f32]> {
        let columns = rows.first().map_or(0, |row| row.len());
        if !self.isa.halves() || columns == 0 {
            return rows.to_vec();
        }
        let length = self.words_in(columns);
        *room = Scratch::new(rows.len() * length);
        for (row, words) in rows.iter().zip(room.chunks_exact_mut(length)) {
            round_bf16_rows(row, columns, words);
        }
        room.chunks_exact(length).collect()
    }

    /// The transpose of a matrix given as rows of `inputs` numbers: what a linear layer's weight `(out, in)` is to its
    /// forward pass.
    pub fn from_columns(matrix: &[f32], inputs: usize, precision: Precision) -> Self {
        Self::from_runs(matrix, inputs, 1, precision)
    }

    /// The same for a frozen weight, held in this precision even where products are computed in another.
    pub fn frozen(matrix: &[f32], inputs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty_frozen(precision);
        packed.set_runs(matrix, inputs, 1);
        packed
    }

    /// The same as [`from_columns`](Self::from_columns) for rows of `runs` runs of `run` numbers, each run in words of its own.
    pub fn from_runs(matrix: &[f32], run: usize, runs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty(precision);
        packed.set_runs(matrix, run, runs);
        packed
    }

    /// [`frozen`](Self::frozen) for a matrix that stands in a file, read once and by all threads.
    pub fn from_encoded(matrix: &Encoded<'_>, inputs: usize, precision: Precision) -> Self {
        let mut packed = Self::empty_frozen(precision);
        let (width, depth, columns) = (packed.isa.columns(), packed.column_words(inputs), matrix.len() / inputs);
        // Memory that nobody has touched yet: each thread touches its own part first.
        let mut panels = vec![0.0; columns.div_ceil(width) * width * depth];
        panels.par_chunks_mut(depth * width).enumerate().for_each(|(j, panel)| {
            let here = width.min(columns - j * width);
            let mut numbers = Scratch::new(here * inputs);
            matrix.read(j * width * inputs, &mut numbers);
            let words = words(packed.pairs, &numbers, inputs);
            set_panel(panel, width, 0..here, |i| &words[i * depth..][..depth]);
        });
        (packed.inputs, packed.depth, packed.columns, packed.panels) = (inputs, depth, columns, panels);
        packed
    }

    fn set_runs(&mut self, matrix: &[f32], run: usize, runs: usize) {
        let (inputs, depth) = (run * runs, self.column_words(run) * runs);
        let (pairs, width, columns) = (self.pairs, self.isa.columns(), matrix.len() / inputs);
        self.reset(inputs, depth, columns);
        let panels = self.panels.par_chunks_mut(depth * width).zip(matrix.par_chunks(inputs * width));
        panels.for_each(|(panel, matrix)| {
            let words = words(pairs, matrix, run);
            set_panel(panel, width, 0..matrix.len() / inputs, |j| &words[j * depth..][..depth]);
        });
    }

    /// The transpose: what the weight is to the gradient of its input.
    pub fn transposed(&self) -> Self {
        let (width, inputs, columns) = (self.isa.columns(), self.columns, self.inputs);
        let depth = self.column_words(inputs);
        let mut panels = vec![0.0; columns.div_ceil(width) * width * depth];
        panels.par_chunks_mut(depth * width).enumerate().for_each(|(j, panel)| match self.pairs {
            false => self.turn_numbers(j, panel),
            true => self.turn_pairs(j, panel),
        });
        Self { isa: self.isa, pairs: self.pairs, inputs, depth, columns, panels }
    }

    /// Panel `j` of the transpose, in single precision, into zeros.
    fn turn_numbers(&self, j: usize, panel: &mut [f32]) {
        let width = self.isa.columns();
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

    /// Panel `j` of the transpose, in bf16: two words beside each other become two words one under another, into
    /// zeros.
    fn turn_pairs(&self, j: usize, panel: &mut [f32]) {
        let (width, half) = (self.isa.columns(), self.isa.columns() / 2);
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
        let (width, pairs) = (self.isa.columns(), self.pairs);
        let column = |j: usize| {
            let panel = &self.panels[j / width * self.depth * width..][..self.depth * width];
            let numbers = panel.chunks_exact(width).flat_map(move |row| {
                let word = row[j % width];
                match pairs {
                    false => [Some(word), None],
                    true => [word.to_bits() << 16, word.to_bits() & 0xffff_0000].map(|b| Some(f32::from_bits(b))),
                }
            });
            numbers.flatten().take(self.inputs)
        };
        (0..self.columns).flat_map(column).collect()
    }

    /// The rows of panel `j` that meet words `from..to` of the left factor.
    fn panel(&self, j: usize, from: usize, to: usize) -> &[f32] {
        let (width, per_word) = (self.isa.columns(), self.left_words_in_word());
        let (from, to) = (from / per_word, to.div_ceil(per_word));
        &self.panels[(j * self.depth + from) * width..(j * self.depth + to) * width]
    }
}

/// What a destination holds before a product.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// The product replaces it.
    Nothing,
    /// The product and a bias, a number per column, replace it.
    Bias(&'a [f32]),
    /// The product is added to it.
    Itself,
}

/// What happens to a tile while it is still in the cache.
#[derive(Clone, Copy, Debug)]
pub enum Then<'a> {
    /// Nothing.
    Stop,
    /// `max(y, 0)`.
    Relu,
    /// `gelu(y)`.
    Gelu,
    /// `y + residual`, laid out as the destination.
    Add(&'a [f32]),
    /// `gelu(y) + residual`.
    GeluAdd(&'a [f32]),
}

/// `y = then(onto + rows * factor)`, where only the factor's rows from `skip` on count: as many as a row of the left
/// factor has words ([`Packed::words`]). `y` holds `factor.columns()` numbers for each row.
pub fn product(rows: &[&[f32]], factor: &Packed, skip: usize, onto: Onto<'_>, then: Then<'_>, y: &mut [f32]) {
    let depth = rows.first().map_or(0, |r| r.len());
    assert!(rows.iter().all(|r| r.len() == depth), "rows of one length");
    let part = (Runs::one(depth), skip);
    run(Source::Rows(rows), rows.len(), factor, part, onto, then, Place { y, stride: factor.columns });
}

/// The same for rows of `columns` words that follow one another.
pub fn matrix_product(
    x: &[f32],
    columns: usize,
    factor: &Packed,
    skip: usize,
    onto: Onto<'_>,
    then: Then<'_>,
    y: &mut [f32],
) {
    let rows = x.len() / columns;
    assert_eq!(x.len(), rows * columns, "whole rows");
    let part = (Runs::one(columns), skip);
    run(Source::Matrix(x, columns), rows, factor, part, onto, then, Place { y, stride: factor.columns });
}

/// The same for rows that consist of runs of `words`, which make up the factor's columns: run `r` of row `i` begins at
/// `places[i] + shifts[r]`.
pub fn product_of_runs(
    (words, places): (&[f32], &[usize]),
    runs: Runs<'_>,
    factor: &Packed,
    onto: Onto<'_>,
    then: Then<'_>,
    y: &mut [f32],
) {
    assert_eq!(runs.depth(), factor.left_depth(), "inner dimensions of a product");
    let (first, last) = (places.iter().min().copied().unwrap_or(0), places.iter().max().copied().unwrap_or(0));
    assert!(places.is_empty() || runs.lie_in(words.len(), first, last + runs.run), "runs within the words");
    let stride = factor.columns;
    run(Source::Places(words, places), places.len(), factor, (runs, 0), onto, then, Place { y, stride });
}

/// `y = onto + left^T * factor`; `left` holds as many rows as the factor ([`Packed::row_words`]), whose first `rows` words
/// count, `y` rows of `stride` numbers, of which the first `factor.columns()` are written.
pub fn transposed_product(left: &[f32], rows: usize, factor: &Packed, onto: Onto<'_>, stride: usize, y: &mut [f32]) {
    let depth = factor.left_depth();
    let width = left.len().checked_div(depth).unwrap_or(rows);
    assert!(left.len() == width * depth && width >= rows, "inner dimensions of a product");
    let part = (Runs::one(depth), 0);
    run(Source::Columns(left, width), rows, factor, part, onto, Then::Stop, Place { y, stride });
}

/// `y += left^T * factor` for rows `skip` and following of the factor, as many as the runs have words: word `p` of run `r` is
/// the row of `width` words that begins at `shifts[r] + p * width` of `left`; its first `rows` words count.
pub fn add_transposed_runs(
    (left, width): (&[f32], usize),
    rows: usize,
    runs: Runs<'_>,
    (factor, skip): (&Packed, usize),
    y: &mut [f32],
) {
    let end = (runs.run.max(1) - 1) * width + rows;
    assert!(runs.depth() == 0 || runs.lie_in(left.len(), 0, end), "runs within the words");
    let to = Place { y, stride: factor.columns };
    run(Source::Columns(left, width), rows, factor, (runs, skip), Onto::Itself, Then::Stop, to);
}

impl<'a> Runs<'a> {
    /// Whether all runs, as far as they reach from the places `from..end`, lie within so many words.
    fn lie_in(self, words: usize, from: usize, end: usize) -> bool {
        let inside = |shift: &isize| {
            from.checked_add_signed(*shift).is_some() && end.checked_add_signed(*shift).is_some_and(|end| end <= words)
        };
        self.shifts.iter().all(inside)
    }

    /// Cuts them into slabs of [`DEPTH`] words or more, between runs where there are several.
    fn slabs(self, step: usize) -> impl Fn(usize) -> Option<usize> {
        let (depth, count) = (self.depth(), self.shifts.len());
        let slabs = match count {
            0 | 1 => depth / DEPTH,
            _ => count / DEPTH.div_ceil(self.run.max(1)),
        };
        let slabs = slabs.max(1);
        move |slab| match slab.cmp(&slabs) {
            Ordering::Greater => None,
            Ordering::Equal => Some(depth),
            Ordering::Less if count > 1 => Some(slab * count / slabs * self.run),
            Ordering::Less => Some(slab * depth / slabs / step * step),
        }
    }

    /// Words `from..to` of the depth, as runs from so many words after the place on.
    fn part(self, from: usize, to: usize) -> (usize, Self) {
        match self.shifts.len() {
            0 | 1 => (from, Self { run: to - from, ..self }),
            _ => (0, Self { shifts: &self.shifts[from / self.run..to / self.run], ..self }),
        }
    }
}

enum Source<'a> {
    Rows(&'a [&'a [f32]]),
    /// Rows of so many words, one after another.
    Matrix(&'a [f32], usize),
    /// Rows that begin at these words.
    Places(&'a [f32], &'a [usize]),
    /// Rows of so many words.
    Columns(&'a [f32], usize),
}

struct Place<'a> {
    y: &'a mut [f32],
    stride: usize,
}

fn run(
    left: Source<'_>,
    rows: usize,
    factor: &Packed,
    (runs, skip): (Runs<'_>, usize),
    onto: Onto<'_>,
    then: Then<'_>,
    Place { y, stride }: Place<'_>,
) {
    if rows == 0 || factor.columns == 0 {
        return;
    }
    let (isa, columns, depth) = (factor.isa, factor.columns, runs.depth());
    let (lanes, width) = (isa.lanes(), isa.columns());
    let per_word = factor.left_words_in_word();
    assert!(skip + depth <= factor.left_depth(), "rows up to {} of {}", skip + depth, factor.left_depth());
    assert!(per_word == 1 || (skip == 0 && runs.shifts.len() == 1), "widened panels are read from their first row on");
    assert!(y.len() >= (rows - 1) * stride + columns, "size of a product");
    if let Onto::Bias(bias) = onto {
        assert_eq!(bias.len(), columns, "size of a bias");
    }
    // SAFETY: factors are packed for sets that this machine has.
    let _ready = unsafe { isa.set_up() };
    let mut pointers = [std::ptr::null(); MOST_ROWS];
    let mut corner = None;
    let starts = runs.slabs(isa.step() * per_word);
    let mut wide = Scratch::default();
    let mut slab = 0;
    while let [Some(from), Some(to), after] = [slab, slab + 1, slab + 2].map(&starts) {
        slab += 1;
        let (offset, part) = runs.part(from, to);
        for j in 0..columns.div_ceil(width) {
            let panel = factor.panel(j, skip + from, skip + to);
            let panel = match per_word {
                1 => panel,
                _ => {
                    if wide.len() < per_word * panel.len() {
                        wide = Scratch::new(per_word * panel.len());
                    }
                    widen_bf16_rows(panel, width, &mut wide);
                    &wide
                }
            };
            let here = width.min(columns - j * width);
            let vectors = here.div_ceil(lanes);
            let mut bias = [0.0; WIDEST];
            let before = match onto {
                _ if from > 0 => Before::Itself,
                Onto::Nothing => Before::Zero,
                Onto::Bias(numbers) => {
                    bias[..here].copy_from_slice(&numbers[j * width..][..here]);
                    Before::Bias(bias.as_ptr())
                }
                Onto::Itself => Before::Itself,
            };
            // What the tiles after these read first: each tile brings a half of it.
            let next = match (j + 1) * width < columns {
                true => factor.panel(j + 1, skip + from, skip + to),
                false => factor.panel(0, skip + to, skip + after.unwrap_or(to)),
            };
            let mut ahead = next.chunks(((to - from) * lanes).max(1));
            for Range { start: i, end } in isa.tiles(rows) {
                let count = end - i;
                let left = match left {
                    Source::Rows(rows) => {
                        for (pointer, row) in pointers.iter_mut().zip(&rows[i..i + count]) {
                            *pointer = row[offset..offset + part.depth()].as_ptr();
                        }
                        Left::Rows(&pointers[..count])
                    }
                    Source::Matrix(words, row_length) => {
                        for (row, pointer) in pointers[..count].iter_mut().enumerate() {
                            *pointer = words.as_ptr().wrapping_add((i + row) * row_length + offset);
                        }
                        Left::Rows(&pointers[..count])
                    }
                    Source::Places(words, places) => {
                        for (pointer, place) in pointers.iter_mut().zip(&places[i..i + count]) {
                            *pointer = words.as_ptr().wrapping_add(place + offset);
                        }
                        Left::Rows(&pointers[..count])
                    }
                    Source::Columns(left, width) => {
                        let first = left.as_ptr().wrapping_add(offset * width + i);
                        Left::Columns { first, stride: width, rows: count }
                    }
                };
                let start = i * stride + j * width;
                // A last panel that is no whole number of vectors goes through a corner of its own.
                let whole = here == vectors * lanes;
                let (to_tile, step): (&mut [f32], usize) = if whole {
                    (&mut y[start..start + (count - 1) * stride + here], stride)
                } else {
                    let corner = corner.get_or_insert([0.0; MOST_ROWS * WIDEST]);
                    if matches!(before, Before::Itself) {
                        for (corner, y) in corner.chunks_exact_mut(WIDEST).zip(y[start..].chunks(stride)).take(count) {
                            corner[..here].copy_from_slice(&y[..here]);
                        }
                    }
                    (corner, WIDEST)
                };
                // SAFETY: the set was found on this machine and set up above. The left factor: `pointers` are those of rows
                // checked to hold `to - from` words; or of rows, or runs from places, that `matrix_product` and
                // `product_of_runs` assert to lie within the words; or `transposed_product` and `add_transposed_runs` assert
                // that there are at least `rows` words for each of the factor's rows. The panel was sliced, or widened, to
                // `to - from` rows of its width at least; the bias is as wide as any panel; and `to_tile` is a slice borrowed
                // here alone, whose last row has `vectors * lanes` numbers.
                unsafe {
                    let panel = (panel.as_ptr(), ahead.next().map_or(panel.as_ptr(), <[f32]>::as_ptr));
                    tile(isa, part, left, panel, before, (to_tile.as_mut_ptr(), step), vectors);
                }
                if let (false, Some(corner)) = (whole, &corner) {
                    for (corner, y) in corner.chunks_exact(WIDEST).zip(y[start..].chunks_mut(stride)).take(count) {
                        y[..here].copy_from_slice(&corner[..here]);
                    }
                }
                if to == depth {
                    let end = start + (count - 1) * stride + here;
                    let tile = Rows { y: &mut y[start..end], stride, columns: here };
                    match then {
                        Then::Stop => {}
                        Then::Relu => relu_rows(tile),
                        Then::Gelu => gelu_rows(tile),
                        Then::Add(residual) => add_rows(tile, &residual[start..end]),
                        Then::GeluAdd(residual) => gelu_add_rows(tile, &residual[start..end]),
                    }
                }
            }
        }
    }
}

/// Cuts a matrix into its rows.
pub fn rows_of(matrix: &[f32], columns: usize) -> Vec<&[f32]> {
    matrix.chunks_exact(columns).collect()
}

/// `y = then(x w^T + bias)`: rows of `x` times a weight of shape `(out, in)`, as PyTorch's `nn.Linear` has it.
pub fn linear(x: &[f32], weight: &Packed, bias: &[f32], then: Then<'_>, y: &mut [f32]) {
    let _work = scope(Kind::Linear, 2 * y.len() * weight.inputs);
    let x = weight.words(x, weight.inputs);
    matrix_product(&x, weight.words_in(weight.inputs), weight, 0, Onto::Bias(bias), then, y);
}

/// `gx = onto + gy w`: the gradient of [`linear`] with respect to its input; `transposed` is its weight's transpose.
pub fn linear_backward(gy: &[f32], transposed: &Packed, onto: Onto<'_>, gx: &mut [f32]) {
    let _work = scope(Kind::Linear, 2 * gx.len() * transposed.inputs);
    let gy = transposed.words(gy, transposed.inputs);
    matrix_product(&gy, transposed.words_in(transposed.inputs), transposed, 0, onto, Then::Stop, gx);
}

/// Adds to `gw` and `gb` the gradients of [`linear`] with respect to its weight and bias.
///
/// Rows are summed part by part, of a fixed number of rows: the result depends on no number of threads.
pub fn linear_weight_backward(x: &[f32], gy: &[f32], gw: &mut [f32], gb: &mut [f32]) {
    let (outputs, inputs) = (gb.len(), gw.len() / gb.len());
    let parts: Vec<[Vec<f32>; 2]> = x
        .par_chunks(PART_ROWS * inputs)
        .zip(gy.par_chunks(PART_ROWS * outputs))
        .map_init(Packed::default, |factor, (x, gy)| {
            let _work = scope(Kind::Linear, 2 * x.len() * outputs);
            let (mut gw, mut gb) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
            for (x, gy) in x.chunks(SUMMED_ROWS * inputs).zip(gy.chunks(SUMMED_ROWS * outputs)) {
                factor.set_rows(x.len() / inputs, inputs, |p| &x[p * inputs..][..inputs]);
                transposed_product(gy, outputs, factor, Onto::Itself, inputs, &mut gw);
            }
            add_column_sums(gy, &mut gb);
            [gw, gb]
        })
        .collect();
    for part in &parts {
        add_assign(gw, &part[0]);
        add_assign(gb, &part[1]);
    }
}

/// Floating-point operations in a second that all threads together reach in products whose factors stay in the first caches:
/// the machine's limit, as far as these tiles know it.
pub fn peak(precision: Precision) -> f64 {
    const ROUNDS: usize = 2000;
    let mut factor = Packed::empty(precision);
    let (width, rows) = (factor.isa.columns(), 4 * factor.isa.rows());
    factor.reset(DEPTH, DEPTH, width);
    let work = |_| {
        let (x, mut y) = (vec![0.0; rows * DEPTH], vec![0.0; rows * width]);
        let rows = rows_of(&x, DEPTH);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            product(&rows, &factor, 0, Onto::Nothing, Then::Stop, &mut y);
        }
        let products = DEPTH * if factor.isa.halves() { 2 } else { 1 };
        (2 * ROUNDS * products * y.len()) as f64 / start.elapsed().as_secs_f64()
    };
    // The second time: threads are awake, and the clock has settled.
    rayon::broadcast(|_| work(()));
    rayon::broadcast(|_| work(())).iter().sum()
}

/// Adds the sum of each column of `x` (rows of `sums.len()` numbers) to `sums`.
pub fn add_column_sums(x: &[f32], sums: &mut [f32]) {
    let mut total = vec![0.0f64; sums.len()];
    for row in x.chunks_exact(sums.len()) {
        for (t, v) in total.iter_mut().zip(row) {
            *t += f64::from(*v);
        }
    }
    for (s, t) in sums.iter_mut().zip(total) {
        *s += t as f32;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2654435761).wrapping_add(seed * 977) >> 8) as f32 / (1 << 23) as f32) - 1.0)
            .collect()
    }

    /// The plain twin: `a (m, k)` times `b (k, n)`.
    fn triple_loop(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let mut y = vec![0.0; m * n];
        for i in 0..m {
            for p in 0..k {
                for j in 0..n {
                    y[i * n + j] += f64::from(a[i * k + p]) * f64::from(b[p * n + j]);
                }
            }
        }
        y
    }

    fn flipped(a: &[f32], columns: usize) -> Vec<f32> {
        let rows = a.len() / columns;
        (0..a.len()).map(|i| a[i % rows * columns + i / rows]).collect()
    }

    fn close(got: &[f32], want: impl Iterator<Item = f64>, what: &str) {
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*g) - w).abs() < 1e-4, "{what}, number {i}: {g} {w}");
        }
    }

    const SIZES: [[usize; 3]; 9] = [
        [1, 1, 1],
        [3, 5, 7],
        [13, 3, 16],
        [33, 147, 19],
        [64, 576, 64],
        [130, 32, 144],
        [5, 1030, 2],
        [24, 512, 33],
        [2, 0, 5],
    ];

    fn empty(isa: Isa) -> Packed {
        Packed { isa, pairs: isa.halves(), ..Packed::default() }
    }

    /// A factor packed for one instruction set.
    fn packed(isa: Isa, b: &[f32], [_, k, n]: [usize; 3], by_columns: bool) -> Packed {
        let mut packed = empty(isa);
        let columns = flipped(b, n);
        match by_columns {
            true => packed.set_columns(k, &(0..n).map(|j| &columns[j * k..][..k]).collect::<Vec<_>>()),
            false => packed.set_rows(k, n, |p| &b[p * n..][..n]),
        }
        packed
    }

    #[test]
    fn products_agree_with_the_plain_twin_on_every_instruction_set() {
        for (isa, size) in Isa::available().iter().flat_map(|isa| SIZES.map(|s| (*isa, s))) {
            let [m, k, n] = size;
            let (a, b, bias, old) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
            let want = triple_loop(&a, &b, size);
            let rows: Vec<&[f32]> = (0..m).map(|i| &a[i * k..][..k]).collect();
            for by_columns in [false, true] {
                let b = packed(isa, &b, size, by_columns);
                let what = format!("{isa:?} {size:?}");
                let mut y = vec![f32::NAN; m * n];
                product(&rows, &b, 0, Onto::Nothing, Then::Stop, &mut y);
                close(&y, want.iter().copied(), &what);
                product(&rows, &b, 0, Onto::Bias(&bias), Then::Relu, &mut y);
                close(&y, (0..m * n).map(|i| (want[i] + f64::from(bias[i % n])).max(0.0)), &what);
                product(&rows, &b, 0, Onto::Bias(&bias), Then::Add(&old), &mut y);
                close(&y, (0..m * n).map(|i| want[i] + f64::from(bias[i % n] + old[i])), &what);
                y.copy_from_slice(&old);
                product(&rows, &b, 0, Onto::Itself, Then::Stop, &mut y);
                close(&y, (0..m * n).map(|i| want[i] + f64::from(old[i])), &what);
                let mut gelu = y.clone();
                gelu.iter_mut().for_each(|v| *v = super::super::vector::math::gelu(*v));
                y.copy_from_slice(&old);
                product(&rows, &b, 0, Onto::Itself, Then::Gelu, &mut y);
                assert!(y.iter().zip(&gelu).all(|(y, g)| (y - g).abs() < 1e-6), "{what}");
                product(&rows, &b, 0, Onto::Nothing, Then::GeluAdd(&old), &mut y);
                let gelu = |i: usize| f64::from(super::super::vector::math::gelu(want[i] as f32) + old[i]);
                close(&y, (0..m * n).map(gelu), &what);
            }
        }
    }

    #[test]
    fn transposed_products_agree_with_the_plain_twin_on_every_instruction_set() {
        for (isa, size) in Isa::available().iter().flat_map(|isa| SIZES.map(|s| (*isa, s))) {
            let [m, k, n] = size;
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let (want, stride) = (triple_loop(&a, &b, size), n + 3);
            let mut y = vec![0.5; m * stride];
            let left = if k > 0 { flipped(&a, k) } else { Vec::new() };
            transposed_product(&left, m, &packed(isa, &b, size, false), Onto::Itself, stride, &mut y);
            let expected = (0..m * stride).map(|i| match i % stride {
                j if j < n => 0.5 + want[i / stride * n + j],
                _ => 0.5,
            });
            close(&y, expected, &format!("{isa:?} {size:?}"));
        }
    }

    #[test]
    fn a_factor_is_read_in_part_and_given_back_whole() {
        let [m, k, n] = [7, 70, 41];
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        for isa in Isa::available() {
            let factor = packed(*isa, &b, [m, k, n], true);
            assert_eq!(factor.to_columns(), flipped(&b, n));
            let turned = factor.transposed();
            assert_eq!((turned.depth, turned.columns, turned.to_columns()), (n, k, b.clone()));
            let mut y = vec![0.0; m * n];
            for part in [0..30, 30..70] {
                let rows: Vec<&[f32]> = (0..m).map(|i| &a[i * k + part.start..i * k + part.end]).collect();
                product(&rows, &factor, part.start, Onto::Itself, Then::Stop, &mut y);
            }
            close(&y, triple_loop(&a, &b, [m, k, n]).into_iter(), "in two parts");
        }
    }

    pub fn rounded(x: &[f32]) -> Vec<f32> {
        x.iter().map(|v| half::bf16::from_f32(*v).to_f32()).collect()
    }

    /// Every set for bf16 that this machine has, and AMX also where its instructions must be emulated.
    fn bf16_sets() -> Vec<Isa> {
        let mut sets: Vec<Isa> = Isa::bf16().into_iter().collect();
        #[cfg(target_arch = "x86_64")]
        {
            if Isa::has_avx512_bf16() && !sets.contains(&Isa::Avx512Bf16) {
                sets.push(Isa::Avx512Bf16);
            }
            #[cfg(target_os = "linux")]
            if is_x86_feature_detected!("avx512f") && !sets.contains(&Isa::AmxBf16) {
                super::super::amx::emulated::install();
                sets.push(Isa::AmxBf16);
            }
        }
        if sets.is_empty() {
            println!("no bf16 products on this machine");
        }
        sets
    }

    #[test]
    fn products_in_bf16_agree_with_the_plain_twin_of_rounded_numbers() {
        // Sets for single precision have the weight widened, and leave the left factor as it is.
        let sets = bf16_sets().into_iter().chain(Isa::available().iter().copied());
        for (isa, size) in sets.flat_map(|isa| SIZES.map(|s| (isa, s))) {
            let [m, k, n] = size;
            let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
            let left = |x: &[f32]| if isa.halves() { rounded(x) } else { x.to_vec() };
            let (rounded_a, rounded_b) = (left(&a), rounded(&b));
            let want = triple_loop(&rounded_a, &rounded_b, size);
            let what = format!("{isa:?} {size:?}");
            if k == 0 {
                continue;
            }
            let mut factor = Packed { pairs: true, ..empty(isa) };
            factor.set_runs(&flipped(&b, n), k, 1);
            assert_eq!(factor.to_columns(), flipped(&rounded_b, n), "{what}");
            let mut y = vec![f32::NAN; m * n];
            linear(&a, &factor, &bias, Then::Relu, &mut y);
            close(&y, (0..m * n).map(|i| (want[i] + f64::from(bias[i % n])).max(0.0)), &what);
            // back with the weight's transpose
            let turned = factor.transposed();
            assert_eq!((turned.inputs, turned.columns, turned.to_columns()), (n, k, rounded_b.clone()), "{what}");
            let gy = numbers(m * n, 5);
            let mut gx = vec![f32::NAN; m * k];
            linear_backward(&gy, &turned, Onto::Nothing, &mut gx);
            close(&gx, triple_loop(&left(&gy), &flipped(&rounded_b, n), [m, n, k]).into_iter(), &what);
            // and the sums over rows of a weight's gradient
            let mut rows = empty(isa);
            rows.set_rows(k, n, |p| &b[p * n..][..n]);
            let a = flipped(&a, k);
            let mut y = vec![0.5; m * n];
            transposed_product(&rows.row_words(&a, m), m, &rows, Onto::Itself, n, &mut y);
            let want = triple_loop(&rounded_a, &left(&b), size);
            close(&y, want.iter().map(|w| w + 0.5), &what);
        }
    }

    #[test]
    fn a_factor_from_a_file_is_the_same_as_one_from_numbers() {
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
    fn runs_of_a_column_end_on_whole_words() {
        let (run, runs, columns) = (5, 3, 2);
        let matrix = numbers(run * runs * columns, 1);
        for precision in [Precision::F32, Precision::Bf16] {
            let factor = Packed::from_runs(&matrix, run, runs, precision);
            let x = numbers(2 * run, 2);
            let words = factor.words(&x, run);
            let mut y = vec![0.0; 2 * columns];
            product(
                &rows_of(&words, factor.words_in(run)),
                &factor,
                factor.words_in(run),
                Onto::Nothing,
                Then::Stop,
                &mut y,
            );
            let want = (0..4).map(|i| {
                let terms = (0..run).map(|p| (x[i / 2 * run + p], matrix[i % 2 * run * runs + run + p]));
                terms.map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>()
            });
            for (y, w) in y.iter().zip(want) {
                let bound = if factor.precision() == Precision::F32 { 1e-5 } else { 3e-2 };
                assert!((f64::from(*y) - w).abs() < bound, "{precision:?}: {y} {w}");
            }
        }
    }

    /// Exact resume and "the same run on another machine" rest on this.
    #[test]
    fn a_weight_gradient_does_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (70, 5000, 300);
        let (x, gy) = (numbers(k * n, 3), numbers(k * m, 4));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut gw, mut gb) = (vec![0.0; m * n], vec![0.0; m]);
            pool.install(|| linear_weight_backward(&x, &gy, &mut gw, &mut gb));
            gw
        };
        let (one, four) = (run(1), run(4));
        assert!(one.iter().zip(&four).all(|(a, b)| a.to_bits() == b.to_bits()));
        close(&one, triple_loop(&flipped(&gy, m), &x, [m, k, n]).into_iter(), "weight gradient");
    }
}
