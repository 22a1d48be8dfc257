//! AMX's micro-kernel: tiles of up to 32 rows of 32 columns, their lanes pairs of bf16 numbers.
//!
//! A tile of the product is one to four of the unit's tiles: up to two groups of 16 rows times two vectors of columns. Panels
//! are those of AVX-512 BF16: their 32 columns are two of the unit's tiles side by side, rows 128 bytes apart.

use super::chained;
use super::instructions::{SIDE, Tiles, load_tile, multiply_tiles, store_tile, zero_tile};
use crate::kernels::cpu::gemm::micro::kernel::MicroKernel;
use crate::kernels::cpu::gemm::micro::prefetch::{prefetch, prefetch_to_write};
use crate::kernels::cpu::gemm::operand::{Destination, Initial, LeftOperand, PanelRows, Runs, WIDEST};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Bytes from a panel's row to the next.
const PANEL_ROW: usize = WIDEST * size_of::<f32>();
/// Bytes of a row of one of the unit's tiles.
const TILE_ROW: usize = SIDE * size_of::<f32>();

/// AMX's micro-kernel.
pub static KERNEL: MicroKernel = MicroKernel {
    name: "AMX BF16",
    lanes: SIDE,
    packs_pairs: true,
    most_rows: 2 * SIDE,
    // Sixteen rows take as long as any part of them.
    prefers_full_tiles: true,
    depth_step: SIDE,
    prepare: Some(Tiles::on_this_thread),
    tile,
    tiled: Some(chained::product),
};

/// Whether this machine has the vector instructions that this folder is compiled for, beside those for tiles. (Every processor
/// with tiles has them.)
pub fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bf16")
        // implied by the first one
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

/// Sets a tile to what its sums start from.
macro_rules! start_tile {
    ($tile:tt, $initial:expr, $to:expr, $column:expr) => {
        match $initial {
            Initial::Zero => zero_tile!($tile),
            // Each row of the tile is read from the same place.
            Initial::Bias(bias) => load_tile!($tile, bias.add($column), 0usize),
            Initial::Destination => load_tile!($tile, $to.0.add($column), $to.1 * size_of::<f32>()),
        }
    };
}

/// See [`MicroKernel::tile`]: up to 32 rows.
///
/// # Safety
/// As for [`MicroKernel::tile`]; to be prepared means that [`Tiles`] are set up on this thread.
unsafe fn tile(runs: Runs<'_>, left: LeftOperand<'_>, panel: PanelRows, initial: Initial, destination: Destination) {
    let (rows, Destination { first: c, stride, vectors }) = (left.rows(), destination);
    debug_assert!((1..=2 * SIDE).contains(&rows) && (1..=2).contains(&vectors), "{rows} rows, {vectors} vectors");
    // Fetched while the sums are made, not when they wait for it.
    for row in 0..rows {
        (0..vectors).for_each(|j| prefetch_to_write(c.wrapping_add(row * stride + j * SIDE)));
    }
    // SAFETY: the caller's promise. Rows short of a group are computed in a buffer of our own, from and to which those that
    // exist are copied; what the others hold is read and written nowhere else.
    unsafe {
        let whole = rows / SIDE;
        let mut buffer = [MaybeUninit::<f32>::uninit(); SIDE * WIDEST];
        let buffer: *mut f32 = buffer.as_mut_ptr().cast();
        let rest = rows % SIDE;
        // past the end where all groups are whole: then nothing is read or written there
        let tail = c.wrapping_add(whole * SIDE * stride);
        if rest > 0 && matches!(initial, Initial::Destination) {
            copy_rows((tail, stride), (buffer, WIDEST), rest, vectors);
        }
        let to = |group: usize| if group < whole { (c.add(group * SIDE * stride), stride) } else { (buffer, WIDEST) };
        let groups = rows.div_ceil(SIDE);
        let (first, second) = (RowGroup::of(left, 0), RowGroup::of(left, groups - 1));
        match (groups, vectors) {
            (1, 1) => sums::<1, 1>(runs, [first, second], panel, initial, [to(0), to(0)]),
            (1, _) => sums::<1, 2>(runs, [first, second], panel, initial, [to(0), to(0)]),
            (_, 1) => sums::<2, 1>(runs, [first, second], panel, initial, [to(0), to(1)]),
            _ => sums::<2, 2>(runs, [first, second], panel, initial, [to(0), to(1)]),
        }
        if rest > 0 {
            copy_rows((buffer, WIDEST), (tail, stride), rest, vectors);
        }
    }
}

/// # Safety
/// `rows` rows of `vectors` vectors are readable and writable, and apart.
unsafe fn copy_rows((from, step): (*const f32, usize), (to, stride): (*mut f32, usize), rows: usize, vectors: usize) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.add(i * step), to.add(i * stride), vectors * SIDE) };
    }
}

/// Sixteen rows of the left operand, or as many as there are.
#[derive(Clone, Copy)]
enum RowGroup<'a> {
    /// All sixteen, each `stride` bytes after the one before: a tile is loaded in place.
    Strided { rows: &'a [*const f32], stride: isize },
    /// Rows anywhere, to be gathered first.
    Rows(&'a [*const f32]),
    /// Columns, to be transposed first.
    Columns { first: *const f32, stride: usize, rows: usize },
}

impl<'a> RowGroup<'a> {
    fn of(left: LeftOperand<'a>, group: usize) -> Self {
        match left {
            LeftOperand::Rows(rows) => {
                let rows = &rows[group * SIDE..rows.len().min((group + 1) * SIDE)];
                let stride = |pair: &[*const f32]| (pair[1] as isize).wrapping_sub(pair[0] as isize);
                match rows.len() == SIDE && rows.windows(2).all(|pair| stride(pair) == stride(rows)) {
                    true => Self::Strided { rows, stride: stride(rows) },
                    false => Self::Rows(rows),
                }
            }
            LeftOperand::Columns { first, stride, rows } => {
                let first = first.wrapping_add(group * SIDE);
                Self::Columns { first, stride, rows: SIDE.min(rows - group * SIDE) }
            }
        }
    }

    /// Where a tile is loaded from that holds a step's lanes of these rows, and how many bytes apart its rows are: in place
    /// if possible, else in `buffer`, with zeros after the last lane.
    ///
    /// # Safety
    /// Each row holds these lanes; the machine has AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn at(self, step: DepthStep<'_>, buffer: &mut TileBuffer) -> (*const f32, isize) {
        let first_lanes = |count: usize| (1u32 << count).wrapping_sub(1) as __mmask16;
        // SAFETY: masked loads touch no more than the step's lanes of each row, or rows of each lane; the buffer has room for
        // sixteen vectors.
        unsafe {
            match self {
                Self::Strided { rows, stride } if step.lanes == SIDE && step.in_one_run() => {
                    // One instruction reads all rows, from the first one's address on.
                    rows.iter().for_each(|row| _ = row.expose_provenance());
                    return (rows[0].wrapping_offset(step.offset(0, 1)), stride);
                }
                Self::Strided { rows, .. } | Self::Rows(rows) if step.in_one_run() => {
                    let (from, mask) = (step.offset(0, 1), first_lanes(step.lanes));
                    for (i, row) in rows.iter().enumerate() {
                        _mm512_store_ps(buffer.row(i), _mm512_maskz_loadu_ps(mask, row.wrapping_offset(from)));
                    }
                }
                Self::Strided { rows, .. } | Self::Rows(rows) => {
                    for (i, row) in rows.iter().enumerate() {
                        _mm512_store_ps(buffer.row(i), _mm512_setzero_ps());
                        for p in 0..step.lanes {
                            *buffer.row(i).add(p) = *row.wrapping_offset(step.offset(p, 1));
                        }
                    }
                }
                Self::Columns { first, stride, rows } => {
                    let mut columns = [_mm512_setzero_ps(); SIDE];
                    for (p, column) in columns.iter_mut().take(step.lanes).enumerate() {
                        let at = first.wrapping_offset(step.offset(p, stride));
                        *column = _mm512_maskz_loadu_ps(first_lanes(rows), at);
                    }
                    for (i, row) in transposed(columns).into_iter().enumerate() {
                        _mm512_store_ps(buffer.row(i), row);
                    }
                }
            }
        }
        (buffer.row(0), TILE_ROW as isize)
    }
}

/// Lanes of the depth that are multiplied at once: at most [`SIDE`], from lane `from` on.
#[derive(Clone, Copy)]
struct DepthStep<'a> {
    runs: Runs<'a>,
    from: usize,
    lanes: usize,
}

impl DepthStep<'_> {
    fn in_one_run(self) -> bool {
        self.from % self.runs.run + self.lanes <= self.runs.run
    }

    /// Where its lane `p` lies, counted from the left operand's place, if the lanes of a run lie `stride` apart.
    fn offset(self, p: usize, stride: usize) -> isize {
        let (run, p) = ((self.from + p) / self.runs.run, (self.from + p) % self.runs.run);
        self.runs.shifts[run] + (p * stride) as isize
    }
}

/// Room for one of the unit's tiles. Rows that nobody writes may hold anything: a row of a product comes from the same row of
/// the left operand alone.
#[repr(C, align(64))]
struct TileBuffer([[MaybeUninit<f32>; SIDE]; SIDE]);

impl TileBuffer {
    fn row(&mut self, i: usize) -> *mut f32 {
        self.0[i].as_mut_ptr().cast()
    }
}

/// A panel's last rows, fewer than a tile's, with zeros below.
#[repr(C, align(64))]
struct PaddedRows([MaybeUninit<f32>; SIDE * WIDEST]);

/// Sixteen vectors as the columns of a matrix become its rows.
#[target_feature(enable = "avx512f")]
fn transposed(columns: [__m512; SIDE]) -> [__m512; SIDE] {
    let mut x = columns;
    // Transposes blocks of 2x2 lanes, then of 2x2 pairs of lanes, and then, in two steps, of 4x4 quarters of a vector.
    let mut y = x;
    for i in 0..8 {
        y[2 * i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    for i in 0..4 {
        for half in 0..2 {
            let (a, b) = (_mm512_castps_pd(y[4 * i + half]), _mm512_castps_pd(y[4 * i + 2 + half]));
            x[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            x[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    // Now x[4 i + r] holds row 4 q + r of columns 4 i to 4 i + 3 in its quarter q.
    for r in 0..4 {
        let (a, b) = (_mm512_shuffle_f32x4(x[r], x[4 + r], 0x88), _mm512_shuffle_f32x4(x[r], x[4 + r], 0xdd));
        let (c, d) = (_mm512_shuffle_f32x4(x[8 + r], x[12 + r], 0x88), _mm512_shuffle_f32x4(x[8 + r], x[12 + r], 0xdd));
        y[r] = _mm512_shuffle_f32x4(a, c, 0x88);
        y[8 + r] = _mm512_shuffle_f32x4(a, c, 0xdd);
        y[4 + r] = _mm512_shuffle_f32x4(b, d, 0x88);
        y[12 + r] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    y
}

/// `R` groups of rows times `N` vectors of columns: registers 0 to 3 hold the sums, 4 and 5 the left operand, 6 and 7 the
/// panel.
///
/// # Safety
/// As [`tile`]; each destination is sixteen rows of `N` vectors.
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const N: usize>(
    runs: Runs<'_>,
    groups: [RowGroup<'_>; 2],
    PanelRows { first: panel, ahead }: PanelRows,
    initial: Initial,
    to: [(*mut f32, usize); 2],
) {
    // SAFETY: the caller's promise: every load reads sixteen rows of sixteen lanes, which a panel, a bias and a destination
    // have there, and a left operand too, or its copy in a buffer. `Tiles` says why tiles keep what they hold.
    unsafe {
        start_tile!("tmm0", initial, to[0], 0);
        if N == 2 {
            start_tile!("tmm1", initial, to[0], SIDE);
        }
        if R == 2 {
            start_tile!("tmm2", initial, to[1], 0);
            if N == 2 {
                start_tile!("tmm3", initial, to[1], SIDE);
            }
        }
        let mut buffers = [const { TileBuffer([[MaybeUninit::uninit(); SIDE]; SIDE]) }; 2];
        let mut last = PaddedRows([MaybeUninit::uninit(); SIDE * WIDEST]);
        for from in (0..runs.depth()).step_by(SIDE) {
            let lanes = SIDE.min(runs.depth() - from);
            let here = DepthStep { runs, from, lanes };
            for p in from..from + lanes {
                prefetch(ahead.wrapping_add(p * SIDE));
            }
            let mut b = panel.add(from * WIDEST);
            if lanes < SIDE {
                let rows: *mut f32 = last.0.as_mut_ptr().cast();
                std::ptr::copy_nonoverlapping(b, rows, lanes * WIDEST);
                rows.add(lanes * WIDEST).write_bytes(0, (SIDE - lanes) * WIDEST);
                b = rows;
            }
            let (a, step) = groups[0].at(here, &mut buffers[0]);
            load_tile!("tmm4", a, step);
            load_tile!("tmm6", b, PANEL_ROW);
            multiply_tiles!("tmm0", "tmm4", "tmm6");
            if N == 2 {
                load_tile!("tmm7", b.add(SIDE), PANEL_ROW);
                multiply_tiles!("tmm1", "tmm4", "tmm7");
            }
            if R == 2 {
                let (a, step) = groups[1].at(here, &mut buffers[1]);
                load_tile!("tmm5", a, step);
                multiply_tiles!("tmm2", "tmm5", "tmm6");
                if N == 2 {
                    multiply_tiles!("tmm3", "tmm5", "tmm7");
                }
            }
        }
        store_tile!("tmm0", to[0].0, to[0].1 * size_of::<f32>());
        if N == 2 {
            store_tile!("tmm1", to[0].0.add(SIDE), to[0].1 * size_of::<f32>());
        }
        if R == 2 {
            store_tile!("tmm2", to[1].0, to[1].1 * size_of::<f32>());
            if N == 2 {
                store_tile!("tmm3", to[1].0.add(SIDE), to[1].1 * size_of::<f32>());
            }
        }
    }
}
