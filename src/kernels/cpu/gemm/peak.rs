//! The machine's peak rate of matrix products, measured.

use super::driver::{Accumulate, DEPTH, Epilogue, product, rows_of};
use super::packed::Packed;
use super::tiled::{TiledRows, tiled_product};
use crate::kernels::precision::Precision;
use std::time::Instant;

/// Floating-point operations in a second that all threads together reach in products whose operands stay in the first caches:
/// the machine's limit, as far as these micro-kernels know it.
pub fn peak(precision: Precision) -> f64 {
    const ROUNDS: usize = 2000;
    let mut factor = Packed::empty(precision);
    let kernel = factor.kernel();
    if kernel.tiled.is_some() {
        return tiled_peak(factor, ROUNDS);
    }
    let (width, rows) = (kernel.panel_width(), 4 * kernel.most_rows);
    factor.reset(DEPTH, DEPTH, width);
    let work = |_| {
        let (x, mut y) = (vec![0.0; rows * DEPTH], vec![0.0; rows * width]);
        let rows = rows_of(&x, DEPTH);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            product(&rows, &factor, 0, Accumulate::Overwrite, Epilogue::None, &mut y);
        }
        let products = DEPTH * if kernel.packs_pairs { 2 } else { 1 };
        (2 * ROUNDS * products * y.len()) as f64 / start.elapsed().as_secs_f64()
    };
    // The second time: threads are awake, and the clock has settled.
    rayon::broadcast(|_| work(()));
    rayon::broadcast(|_| work(())).iter().sum()
}

/// The same for a left operand in tiles.
fn tiled_peak(mut factor: Packed, rounds: usize) -> f64 {
    const SIZE: usize = 128;
    factor.reset(2 * SIZE, SIZE, SIZE);
    let work = |_| {
        let (x, mut y) = (TiledRows::zeros(SIZE, 2 * SIZE), vec![0.0; SIZE * SIZE]);
        let start = Instant::now();
        for _ in 0..rounds {
            tiled_product(&x, &factor, Accumulate::Overwrite, Epilogue::None, &mut y);
        }
        (2 * rounds * 2 * SIZE * y.len()) as f64 / start.elapsed().as_secs_f64()
    };
    rayon::broadcast(|_| work(()));
    rayon::broadcast(|_| work(())).iter().sum()
}
