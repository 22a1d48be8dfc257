//! Whole products of rows in tiles: blocks of 32 x 32 sums, one chained to the other.
//!
//! A block's sums stay in the tiles until the next block has loaded its first factors. Then each tile is stored, starts anew and
//! is multiplied, so no product waits for all of the stores; and the sums are finished between the next block's other
//! products, which the unit computes while the vector units work. (Storing all four at a block's end and waiting for it costs
//! half as long again at a depth of 96 numbers.)

use super::finish::{ADD, GELU, Pending, SAVE, SUMS_ROW, TILES, finish};
use super::instructions::{SIDE, load_passing_tile, load_tile, multiply_tiles, store_tile};
use crate::kernels::cpu::gemm::micro::tiled::{BLOCK_ROWS, Finish, ROW_LANES, STEP_LANES, TiledProduct};
use crate::kernels::cpu::gemm::operand::WIDEST;
use std::mem::MaybeUninit;

/// Bytes from a row of a left operand's tile to the next.
const LEFT_ROW: usize = ROW_LANES * size_of::<f32>();
/// Bytes from a panel's row to the next.
const PANEL_ROW: usize = WIDEST * size_of::<f32>();
/// Lanes of a panel in a step of the depth.
const PANEL_STEP: usize = SIDE * WIDEST;
/// Sums of a block.
const SUMS: usize = BLOCK_ROWS * SUMS_ROW;
/// Steps of the depth at once, about, where there are more: so much of a panel stays in the first cache.
const CHUNK: usize = 14;

/// What a block's sums start from.
#[derive(Clone, Copy)]
struct Start {
    at: *const f32,
    /// Bytes from a row to the next.
    row: usize,
    /// Numbers from sixteen rows to the next sixteen.
    second: usize,
}

impl Start {
    /// The same numbers in each row.
    fn row(at: *const f32) -> Self {
        Self { at, row: 0, second: 0 }
    }

    /// Sums stored before.
    fn sums(at: *const f32) -> Self {
        Self { at, row: SUMS_ROW * size_of::<f32>(), second: SIDE * SUMS_ROW }
    }
}

/// Stores the tiles' sums.
///
/// # Safety
/// Tiles are set up; there is room for [`SUMS`] numbers.
unsafe fn store_sums(to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        store_tile!("tmm0", to, SUMS_ROW * size_of::<f32>());
        store_tile!("tmm1", to.add(SIDE), SUMS_ROW * size_of::<f32>());
        store_tile!("tmm2", to.add(SIDE * SUMS_ROW), SUMS_ROW * size_of::<f32>());
        store_tile!("tmm3", to.add(SIDE * SUMS_ROW + SIDE), SUMS_ROW * size_of::<f32>());
    }
}

/// The sums of `16 R` rows and `16 N` columns over `steps` steps. What the tiles hold before goes to `stored`, where `pending` is
/// finished from; this block's sums stay in the tiles. `b`: the panel's first step, and its last one.
///
/// # Safety
/// Tiles are set up; the left operand and the panel hold these steps, `start` a block's numbers; as [`finish`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
unsafe fn block<const F: u8, const R: usize, const N: usize>(
    steps: usize,
    mut a: *const f32,
    [mut b, last]: [*const f32; 2],
    start: Start,
    pending: &Pending,
    stored: *mut f32,
) {
    const ROW: usize = SUMS_ROW * size_of::<f32>();
    const SECOND: usize = SIDE * SUMS_ROW;
    // SAFETY: the caller's promise; `Tiles` says why tiles keep what they hold.
    unsafe {
        if steps == 1 {
            b = last;
        }
        load_tile!("tmm6", b, PANEL_ROW);
        load_passing_tile!("tmm4", a, LEFT_ROW);
        if N == 2 {
            load_tile!("tmm7", b.add(SIDE), PANEL_ROW);
        }
        if R == 2 {
            load_passing_tile!("tmm5", a.add(SIDE * ROW_LANES), LEFT_ROW);
        }
        store_tile!("tmm0", stored, ROW);
        load_tile!("tmm0", start.at, start.row);
        multiply_tiles!("tmm0", "tmm4", "tmm6");
        store_tile!("tmm1", stored.add(SIDE), ROW);
        if N == 2 {
            load_tile!("tmm1", start.at.add(SIDE), start.row);
            multiply_tiles!("tmm1", "tmm4", "tmm7");
        }
        store_tile!("tmm2", stored.add(SECOND), ROW);
        if R == 2 {
            load_tile!("tmm2", start.at.add(start.second), start.row);
            multiply_tiles!("tmm2", "tmm5", "tmm6");
        }
        store_tile!("tmm3", stored.add(SECOND + SIDE), ROW);
        if R == 2 && N == 2 {
            load_tile!("tmm3", start.at.add(start.second + SIDE), start.row);
            multiply_tiles!("tmm3", "tmm5", "tmm7");
        }
        // rows to finish in each step, in 1/256
        let share = (pending.rows * 256).div_ceil(steps);
        let mut until = share;
        let mut done = pending.rows.min(until / 256);
        finish::<F>(pending, 0, done);
        for step in 1..steps {
            a = a.wrapping_add(STEP_LANES);
            b = if step + 1 == steps { last } else { b.wrapping_add(PANEL_STEP) };
            load_tile!("tmm6", b, PANEL_ROW);
            load_passing_tile!("tmm4", a, LEFT_ROW);
            multiply_tiles!("tmm0", "tmm4", "tmm6");
            if N == 2 {
                load_tile!("tmm7", b.add(SIDE), PANEL_ROW);
                multiply_tiles!("tmm1", "tmm4", "tmm7");
            }
            if R == 2 {
                load_passing_tile!("tmm5", a.add(SIDE * ROW_LANES), LEFT_ROW);
                multiply_tiles!("tmm2", "tmm5", "tmm6");
                if N == 2 {
                    multiply_tiles!("tmm3", "tmm5", "tmm7");
                }
            }
            until += share;
            let to = pending.rows.min(until / 256);
            finish::<F>(pending, done, to);
            done = to;
        }
        finish::<F>(pending, done, pending.rows);
    }
}

/// The last step of a panel whose depth is no whole number of steps, with zeros below.
#[repr(C, align(64))]
struct LastStep([MaybeUninit<f32>; PANEL_STEP]);

/// Zeros that sums start from where there is no bias.
#[repr(C, align(64))]
struct Zeros([f32; WIDEST]);
static ZEROS: Zeros = Zeros([0.0; WIDEST]);

/// See [`MicroKernel::tiled`](crate::kernels::cpu::gemm::micro::kernel::MicroKernel::tiled).
///
/// # Safety
/// As there.
pub unsafe fn product(p: TiledProduct<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        match (&p.finish, p.gelu) {
            (Finish::Rows { residual: None, .. }, false) => product_of::<0>(p),
            (Finish::Rows { residual: None, .. }, true) => product_of::<GELU>(p),
            (Finish::Rows { residual: Some(_), .. }, false) => product_of::<ADD>(p),
            (Finish::Rows { residual: Some(_), .. }, true) => product_of::<{ ADD | GELU }>(p),
            (Finish::Tiles { saved: None, .. }, false) => product_of::<TILES>(p),
            (Finish::Tiles { saved: None, .. }, true) => product_of::<{ TILES | GELU }>(p),
            (Finish::Tiles { saved: Some(_), .. }, false) => product_of::<{ TILES | SAVE }>(p),
            (Finish::Tiles { saved: Some(_), .. }, true) => product_of::<{ TILES | GELU | SAVE }>(p),
        }
    }
}

/// Panel after panel; in each, chunk after chunk of the depth; in each, all blocks of rows.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
unsafe fn product_of<const F: u8>(p: TiledProduct<'_>) {
    let (blocks, panels) = (p.rows.div_ceil(BLOCK_ROWS), p.columns.div_ceil(WIDEST));
    let steps = p.depth.div_ceil(SIDE);
    let mut saved = std::ptr::null_mut();
    let (to, residual, row, block_step, panel_step) = match p.finish {
        Finish::Rows { y, residual } => {
            let residual = residual.unwrap_or(std::ptr::null());
            (y, residual, p.columns, BLOCK_ROWS * p.columns, WIDEST)
        }
        Finish::Tiles { to, saved: kept } => {
            saved = kept.map_or(saved, <[f32]>::as_mut_ptr);
            (to.as_mut_ptr(), std::ptr::null(), ROW_LANES, panels * STEP_LANES, STEP_LANES)
        }
    };
    let sums = p.scratch.as_mut_ptr();
    let mut rest = LastStep([MaybeUninit::uninit(); PANEL_STEP]);
    let rest: *mut f32 = rest.0.as_mut_ptr().cast();
    let whole = p.depth / SIDE * SIDE;
    let chunks = if blocks > 1 { steps.div_ceil(CHUNK).max(1) } else { 1 };
    let (mut pending, mut stored) = (Pending::NOTHING, sums);
    for j in 0..panels {
        let panel = p.panels[j * p.depth * WIDEST..][..p.depth * WIDEST].as_ptr();
        let half = p.columns - j * WIDEST == SIDE;
        let mut last = panel.wrapping_add((steps - 1) * PANEL_STEP);
        if whole < p.depth {
            let lanes = (p.depth - whole) * WIDEST;
            // SAFETY: the panel holds them from there on; the rest is cleared.
            unsafe {
                std::ptr::copy_nonoverlapping(last, rest, lanes);
                rest.add(lanes).write_bytes(0, PANEL_STEP - lanes);
            }
            last = rest;
        }
        for chunk in 0..chunks {
            let (from, until) = (chunk * steps / chunks, (chunk + 1) * steps / chunks);
            let first = panel.wrapping_add(from * PANEL_STEP);
            let last = if until == steps { last } else { panel.wrapping_add((until - 1) * PANEL_STEP) };
            for i in 0..blocks {
                // with one chunk sums are finished before they are overwritten
                let here = sums.wrapping_add(if chunks == 1 { SUMS } else { (i + 1) * SUMS });
                let start = match (from, p.bias) {
                    (0, Some(bias)) => Start::row(bias[j * WIDEST..].as_ptr()),
                    (0, None) => Start::row(ZEROS.0.as_ptr()),
                    _ => Start::sums(here),
                };
                let a = p.left.as_ptr().wrapping_add((i * steps + from) * STEP_LANES);
                let (count, b) = (until - from, [first, last]);
                let rows = BLOCK_ROWS.min(p.rows - i * BLOCK_ROWS);
                // SAFETY: the caller promises tiles, a panel's columns, rows of left tiles, bias and room as the product says;
                // half of the columns are computed where a bias has only these.
                unsafe {
                    match (rows <= SIDE, half) {
                        (false, false) => block::<F, 2, 2>(count, a, b, start, &pending, stored),
                        (true, false) => block::<F, 1, 2>(count, a, b, start, &pending, stored),
                        (false, true) => block::<F, 2, 1>(count, a, b, start, &pending, stored),
                        (true, true) => block::<F, 1, 1>(count, a, b, start, &pending, stored),
                    }
                }
                stored = here;
                let at = i * block_step + j * panel_step;
                pending = Pending {
                    sums: here,
                    to: to.wrapping_add(at),
                    row,
                    residual: residual.wrapping_add(at),
                    saved: (saved.wrapping_add(i * BLOCK_ROWS * p.columns + j * WIDEST), p.columns),
                    rows: if until == steps { rows } else { 0 },
                    half,
                };
            }
        }
    }
    // SAFETY: as above.
    unsafe {
        store_sums(stored);
        finish::<F>(&pending, 0, pending.rows);
    }
}
