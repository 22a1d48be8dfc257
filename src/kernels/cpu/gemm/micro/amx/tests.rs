//! AMX's micro-kernel against a plain loop, on the processor's unit or an emulated one.

use super::detect::{agrees_with_plain_numbers, available};
use super::emulated;
use super::instructions::{SIDE, Tiles};
use super::tile::{KERNEL, has_avx512};
use crate::kernels::cpu::gemm::operand::{Destination, Initial, LeftOperand, PanelRows, Runs, WIDEST};
use std::io::Write;

/// Has tiles here, in the processor or emulated.
fn installed() -> bool {
    if !available() && has_avx512() {
        emulated::install();
    }
    has_avx512()
}

/// Small whole numbers: every sum of their products is exact.
fn pair(i: usize) -> [f32; 2] {
    [(i * 37 % 17) as f32 - 8.0, (i * 53 % 13) as f32 - 6.0]
}

fn lanes(n: usize, seed: usize) -> Vec<f32> {
    let lane = |[a, b]: [f32; 2]| f32::from_bits(a.to_bits() >> 16 | b.to_bits() & 0xffff_0000);
    (0..n).map(|i| lane(pair(i + seed))).collect()
}

#[test]
fn the_check_of_the_machine_passes() {
    assert!(!installed() || agrees_with_plain_numbers());
}

#[test]
fn every_shape_of_a_tile_agrees_with_a_plain_loop_and_nothing_else_is_written() {
    if !installed() {
        // not `eprintln`, which the test harness keeps to itself while tests pass
        let _ = writeln!(std::io::stderr(), "SKIPPED: AMX is emulated with AVX-512 BF16 only");
        return;
    }
    // SAFETY: they are installed.
    let _tiles = unsafe { Tiles::on_this_thread() };
    let (stride, bias) = (WIDEST + 5, (0..WIDEST).map(|j| j as f32).collect::<Vec<_>>());
    let depths = [[0, 1], [1, 1], [15, 1], [16, 1], [40, 1], [16, 3], [5, 7], [44, 2]];
    for (rows, [run, count]) in [1, 2, 15, 16, 17, 31, 32].into_iter().flat_map(|r| depths.map(|d| (r, d))) {
        // The last run comes first, the others in order.
        let (depth, turned) = (run * count, |p: usize| (p + run) % (run * count).max(1));
        let shifts: Vec<isize> = (0..count).map(|r| turned(r * run) as isize).collect();
        // Row after row, rows anywhere, and one column after another with rows that are not asked for.
        let (even, columns) = (lanes(rows * depth + 1, 3), lanes(depth * (rows + 3), 3));
        let apart: Vec<Vec<f32>> = (0..rows).map(|i| even[i * depth..][..depth].to_vec()).collect();
        let panel = lanes(depth * WIDEST, 11);
        let at = [even.chunks(depth.max(1)).map(<[f32]>::as_ptr).take(rows).collect(), {
            apart.iter().map(|row| row.as_ptr()).collect::<Vec<_>>()
        }];
        let lefts = [
            LeftOperand::Rows(&at[0]),
            LeftOperand::Rows(&at[1]),
            LeftOperand::Columns { first: columns.as_ptr(), stride: rows + 3, rows },
        ];
        for (kind, left) in lefts.into_iter().enumerate().filter(|(kind, _)| depth > 0 || *kind == 1) {
            let step = if kind == 2 { rows + 3 } else { 1 };
            let shifts: Vec<isize> = shifts.iter().map(|shift| shift * step as isize).collect();
            let runs = Runs { run, shifts: &shifts };
            for (initial, vectors) in [Initial::Zero, Initial::Bias(bias.as_ptr()), Initial::Destination]
                .into_iter()
                .flat_map(|b| [(b, 1), (b, 2)])
            {
                let mut c: Vec<f32> = (0..(rows + 1) * stride).map(|i| i as f32).collect();
                let panel = PanelRows { first: panel.as_ptr(), ahead: panel.as_ptr() };
                let destination = Destination { first: c.as_mut_ptr(), stride, vectors };
                // SAFETY: there are tiles; all operands were made for `rows`, `depth` and two vectors.
                unsafe { (KERNEL.tile)(runs, left, panel, initial, destination) };
                for (n, got) in c.iter().enumerate() {
                    let (i, j) = (n / stride, n % stride);
                    let products = (0..depth).map(|p| {
                        let at = turned(p);
                        let a = pair(3 + if kind == 2 { at * (rows + 3) + i } else { i * depth + at });
                        let b = pair(11 + p * WIDEST + j);
                        a[0] * b[0] + a[1] * b[1]
                    });
                    let want = match initial {
                        _ if i == rows || j >= vectors * SIDE => n as f32,
                        Initial::Zero => products.sum(),
                        Initial::Bias(_) => j as f32 + products.sum::<f32>(),
                        Initial::Destination => n as f32 + products.sum::<f32>(),
                    };
                    assert_eq!(
                        *got, want,
                        "{rows} rows of {count} x {run} lanes, left {kind}, {vectors} vectors: {i} {j}"
                    );
                }
            }
        }
    }
}
