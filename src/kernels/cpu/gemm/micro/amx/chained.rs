//! Whole products of rows that are bf16 already: blocks of 32 x 32 sums, one chained to the other.
//!
//! A block's sums stay in the tiles until the next block has loaded its first factors. Then each tile is stored, starts anew and
//! is multiplied, so no product waits for all of the stores; and the sums are finished between the next block's other
//! products, which the unit computes while the vector units work. (Storing all four at a block's end and waiting for it costs
//! half as long again at a depth of 96 numbers.)

use super::finish::{ADD, GELU, HALVES, Pending, RELU, SAVE, SUMS_ROW, TILES, finish};
use super::instructions::{SIDE, load_passing_tile, load_tile, multiply_tiles, store_tile};
use crate::kernels::cpu::gemm::micro::tiled::{
    Activation, BLOCK_ROWS, Finish, Left, ROW_LANES, RowBlock, STEP_LANES, TiledProduct,
};
use crate::kernels::cpu::gemm::operand::WIDEST;
use std::mem::MaybeUninit;

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

/// The sums of `16 R` rows, `row` lanes apart from `a` on, and `16 N` columns over `steps`. What the tiles hold before goes to
/// `stored`, where `pending` is finished from; this block's sums stay in the tiles. `b`: the panel's first step, and its last one.
///
/// # Safety
/// Tiles are set up; the left operand and the panel hold these steps, `start` a block's numbers; as [`finish`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
unsafe fn block<const F: u8, const R: usize, const N: usize>(
    steps: &[usize],
    (a, row): (*const f32, usize),
    [mut b, last]: [*const f32; 2],
    start: Start,
    pending: &Pending,
    stored: *mut f32,
) {
    const ROW: usize = SUMS_ROW * size_of::<f32>();
    const SECOND: usize = SIDE * SUMS_ROW;
    let (left_row, second) = (row * size_of::<f32>(), SIDE * row);
    // SAFETY: the caller's promise; `Tiles` says why tiles keep what they hold.
    unsafe {
        if steps.len() == 1 {
            b = last;
        }
        let first = a.add(steps[0]);
        load_tile!("tmm6", b, PANEL_ROW);
        load_passing_tile!("tmm4", first, left_row);
        if N == 2 {
            load_tile!("tmm7", b.add(SIDE), PANEL_ROW);
        }
        if R == 2 {
            load_passing_tile!("tmm5", first.add(second), left_row);
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
        let share = (pending.rows * 256).div_ceil(steps.len());
        let mut until = share;
        let mut done = pending.rows.min(until / 256);
        finish::<F>(pending, 0, done);
        for (step, shift) in steps.iter().enumerate().skip(1) {
            let a = a.add(*shift);
            b = if step + 1 == steps.len() { last } else { b.wrapping_add(PANEL_STEP) };
            load_tile!("tmm6", b, PANEL_ROW);
            load_passing_tile!("tmm4", a, left_row);
            multiply_tiles!("tmm0", "tmm4", "tmm6");
            if N == 2 {
                load_tile!("tmm7", b.add(SIDE), PANEL_ROW);
                multiply_tiles!("tmm1", "tmm4", "tmm7");
            }
            if R == 2 {
                load_passing_tile!("tmm5", a.add(second), left_row);
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
        match (&p.finish, p.activation) {
            (Finish::Rows { residual: None, .. }, Activation::None) => product_of::<0>(p),
            (Finish::Rows { residual: None, .. }, Activation::Gelu) => product_of::<GELU>(p),
            (Finish::Rows { residual: None, .. }, Activation::Relu) => product_of::<RELU>(p),
            (Finish::Rows { residual: Some(_), .. }, Activation::None) => product_of::<ADD>(p),
            (Finish::Rows { residual: Some(_), .. }, Activation::Gelu) => product_of::<{ ADD | GELU }>(p),
            (Finish::Halves { .. }, Activation::None) => product_of::<HALVES>(p),
            (Finish::Tiles { saved: None, .. }, Activation::None) => product_of::<TILES>(p),
            (Finish::Tiles { saved: None, .. }, Activation::Gelu) => product_of::<{ TILES | GELU }>(p),
            (Finish::Tiles { saved: Some(_), .. }, Activation::None) => product_of::<{ TILES | SAVE }>(p),
            (Finish::Tiles { saved: Some(_), .. }, Activation::Gelu) => product_of::<{ TILES | GELU | SAVE }>(p),
            (_, Activation::Relu) | (Finish::Halves { .. }, _) => unreachable!("no layer has this"),
        }
    }
}

/// Panel after panel; in each, chunk after chunk of the depth; in each, all blocks of rows.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
unsafe fn product_of<const F: u8>(p: TiledProduct<'_>) {
    let Left { lanes, row, steps, blocks } = p.left;
    let panels = p.columns.div_ceil(WIDEST);
    let mut saved = std::ptr::null_mut();
    let (to, residual, to_row, panel_step) = match p.finish {
        Finish::Rows { y, residual, stride } => (y, residual.unwrap_or(std::ptr::null()), stride, WIDEST),
        Finish::Halves { to, stride } => (to, std::ptr::null(), stride, WIDEST / 2),
        Finish::Tiles { to, saved: kept } => {
            saved = kept.map_or(saved, <[f32]>::as_mut_ptr);
            (to.as_mut_ptr(), std::ptr::null(), ROW_LANES, STEP_LANES)
        }
    };
    let sums = p.scratch.as_mut_ptr();
    let mut rest = LastStep([MaybeUninit::uninit(); PANEL_STEP]);
    let rest: *mut f32 = rest.0.as_mut_ptr().cast();
    let whole = p.depth / SIDE * SIDE;
    let chunks = if blocks.len() > 1 { steps.len().div_ceil(CHUNK).max(1) } else { 1 };
    let (mut pending, mut stored) = (Pending::NOTHING, sums);
    for j in 0..panels {
        let panel = p.panels[j * p.depth * WIDEST..][..p.depth * WIDEST].as_ptr();
        let half = p.columns - j * WIDEST == SIDE;
        let mut last = panel.wrapping_add((steps.len() - 1) * PANEL_STEP);
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
            let (from, until) = (chunk * steps.len() / chunks, (chunk + 1) * steps.len() / chunks);
            let panel_first = panel.wrapping_add(from * PANEL_STEP);
            let last = if until == steps.len() { last } else { panel.wrapping_add((until - 1) * PANEL_STEP) };
            for (i, RowBlock { start, row: first_row, rows }) in blocks.iter().copied().enumerate() {
                // with one chunk sums are finished before they are overwritten
                let here = sums.wrapping_add(if chunks == 1 { SUMS } else { (i + 1) * SUMS });
                let sums_start = match (from, p.bias) {
                    (0, Some(bias)) => Start::row(bias[j * WIDEST..].as_ptr()),
                    (0, None) => Start::row(ZEROS.0.as_ptr()),
                    _ => Start::sums(here),
                };
                let (a, steps_here) = ((lanes.as_ptr().wrapping_add(start), row), &steps[from..until]);
                let b = [panel_first, last];
                // SAFETY: the caller promises tiles, a panel's columns, the left operand's lanes, bias and room as the product
                // says; half of the columns are computed where a bias has only these.
                unsafe {
                    match (rows <= SIDE, half) {
                        (false, false) => block::<F, 2, 2>(steps_here, a, b, sums_start, &pending, stored),
                        (true, false) => block::<F, 1, 2>(steps_here, a, b, sums_start, &pending, stored),
                        (false, true) => block::<F, 2, 1>(steps_here, a, b, sums_start, &pending, stored),
                        (true, true) => block::<F, 1, 1>(steps_here, a, b, sums_start, &pending, stored),
                    }
                }
                stored = here;
                let at = match F & TILES != 0 {
                    true => (i * panels + j) * STEP_LANES,
                    false => first_row * to_row + j * panel_step,
                };
                pending = Pending {
                    sums: here,
                    to: to.wrapping_add(at),
                    row: to_row,
                    residual: residual.wrapping_add(at),
                    saved: (saved.wrapping_add(first_row * p.columns + j * WIDEST), p.columns),
                    rows: if until == steps.len() { rows } else { 0 },
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
