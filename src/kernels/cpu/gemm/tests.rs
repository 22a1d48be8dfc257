//! Products against the reference implementation, on every micro-kernel that this machine can run.

use super::driver::{Accumulate, Epilogue, product, product_of_runs, rows_of, transposed_product};
use super::linear::{linear, linear_backward};
use super::micro::isa;
use super::micro::kernel::MicroKernel;
use super::operand::Runs;
use super::packed::Packed;
use super::test_kernels::{bf16_kernels, tiled_kernels};
use super::test_numbers::{close, flipped, numbers, rounded, triple_loop};
use super::tiled::{
    Left, ROW_LANES, RowBlock, TiledRows, tiled_linear, tiled_linear_gelu, tiled_linear_halves, tiled_product,
    tiled_product_of_blocks,
};
use crate::kernels::cpu::vector::math::gelu;
use crate::kernels::precision::Precision;

type Kernel = &'static MicroKernel;

/// Sizes `(m, k, n)` of a product of `(m, k)` and `(k, n)`.
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

fn empty(kernel: Kernel) -> Packed {
    Packed::empty_for(kernel, kernel.packs_pairs)
}

/// A factor packed for one micro-kernel.
fn packed(kernel: Kernel, b: &[f32], [_, k, n]: [usize; 3], by_columns: bool) -> Packed {
    let mut packed = empty(kernel);
    let columns = flipped(b, n);
    match by_columns {
        true => packed.set_columns(k, &(0..n).map(|j| &columns[j * k..][..k]).collect::<Vec<_>>()),
        false => packed.set_rows(k, n, |p| &b[p * n..][..n]),
    }
    packed
}

#[test]
fn products_agree_with_the_plain_twin_on_every_instruction_set() {
    for (kernel, size) in isa::single_precision().iter().flat_map(|kernel| SIZES.map(|s| (*kernel, s))) {
        let [m, k, n] = size;
        let (a, b, bias, old) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
        let want = triple_loop(&a, &b, size);
        let rows: Vec<&[f32]> = (0..m).map(|i| &a[i * k..][..k]).collect();
        for by_columns in [false, true] {
            let b = packed(kernel, &b, size, by_columns);
            let what = format!("{kernel:?} {size:?}");
            let mut y = vec![f32::NAN; m * n];
            product(&rows, &b, 0, Accumulate::Overwrite, Epilogue::None, &mut y);
            close(&y, want.iter().copied(), &what);
            product(&rows, &b, 0, Accumulate::Bias(&bias), Epilogue::Relu, &mut y);
            close(&y, (0..m * n).map(|i| (want[i] + f64::from(bias[i % n])).max(0.0)), &what);
            product(&rows, &b, 0, Accumulate::Bias(&bias), Epilogue::Add(&old), &mut y);
            close(&y, (0..m * n).map(|i| want[i] + f64::from(bias[i % n] + old[i])), &what);
            y.copy_from_slice(&old);
            product(&rows, &b, 0, Accumulate::Add, Epilogue::None, &mut y);
            close(&y, (0..m * n).map(|i| want[i] + f64::from(old[i])), &what);
            let mut activated = y.clone();
            activated.iter_mut().for_each(|v| *v = gelu(*v));
            y.copy_from_slice(&old);
            product(&rows, &b, 0, Accumulate::Add, Epilogue::Gelu, &mut y);
            assert!(y.iter().zip(&activated).all(|(y, g)| (y - g).abs() < 1e-6), "{what}");
            product(&rows, &b, 0, Accumulate::Overwrite, Epilogue::GeluAdd(&old), &mut y);
            let sum = |i: usize| f64::from(gelu(want[i] as f32) + old[i]);
            close(&y, (0..m * n).map(sum), &what);
        }
    }
}

#[test]
fn transposed_products_agree_with_the_plain_twin_on_every_instruction_set() {
    for (kernel, size) in isa::single_precision().iter().flat_map(|kernel| SIZES.map(|s| (*kernel, s))) {
        let [m, k, n] = size;
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (want, stride) = (triple_loop(&a, &b, size), n + 3);
        let mut y = vec![0.5; m * stride];
        let left = if k > 0 { flipped(&a, k) } else { Vec::new() };
        transposed_product(&left, m, &packed(kernel, &b, size, false), Accumulate::Add, stride, &mut y);
        let expected = (0..m * stride).map(|i| match i % stride {
            j if j < n => 0.5 + want[i / stride * n + j],
            _ => 0.5,
        });
        close(&y, expected, &format!("{kernel:?} {size:?}"));
    }
}

#[test]
fn a_factor_is_read_in_part_and_given_back_whole() {
    let [m, k, n] = [7, 70, 41];
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    for kernel in isa::single_precision() {
        let factor = packed(kernel, &b, [m, k, n], true);
        assert_eq!(factor.to_columns(), flipped(&b, n));
        let turned = factor.transposed();
        assert_eq!((turned.inputs(), turned.columns(), turned.to_columns()), (n, k, b.clone()));
        let mut y = vec![0.0; m * n];
        for part in [0..30, 30..70] {
            let rows: Vec<&[f32]> = (0..m).map(|i| &a[i * k + part.start..i * k + part.end]).collect();
            product(&rows, &factor, part.start, Accumulate::Add, Epilogue::None, &mut y);
        }
        close(&y, triple_loop(&a, &b, [m, k, n]).into_iter(), "in two parts");
    }
}

#[test]
fn products_in_bf16_agree_with_the_plain_twin_of_rounded_numbers() {
    // Micro-kernels for single precision have the weight widened, and leave the left operand as it is.
    let kernels = bf16_kernels().into_iter().chain(isa::single_precision().iter().copied());
    for (kernel, size) in kernels.flat_map(|kernel| SIZES.map(|s| (kernel, s))) {
        let [m, k, n] = size;
        let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
        let left = |x: &[f32]| if kernel.packs_pairs { rounded(x) } else { x.to_vec() };
        let (rounded_a, rounded_b) = (left(&a), rounded(&b));
        let want = triple_loop(&rounded_a, &rounded_b, size);
        let what = format!("{kernel:?} {size:?}");
        if k == 0 {
            continue;
        }
        let mut factor = Packed::empty_for(kernel, true);
        factor.set_runs(&flipped(&b, n), k, 1);
        assert_eq!(factor.to_columns(), flipped(&rounded_b, n), "{what}");
        let mut y = vec![f32::NAN; m * n];
        linear(&a, &factor, &bias, Epilogue::Relu, &mut y);
        close(&y, (0..m * n).map(|i| (want[i] + f64::from(bias[i % n])).max(0.0)), &what);
        // back with the weight's transpose
        let turned = factor.transposed();
        assert_eq!((turned.inputs(), turned.columns(), turned.to_columns()), (n, k, rounded_b.clone()), "{what}");
        let gy = numbers(m * n, 5);
        let mut gx = vec![f32::NAN; m * k];
        linear_backward(&gy, &turned, Accumulate::Overwrite, &mut gx);
        close(&gx, triple_loop(&left(&gy), &flipped(&rounded_b, n), [m, n, k]).into_iter(), &what);
        // and the sums over rows of a weight's gradient
        let mut rows = empty(kernel);
        rows.set_rows(k, n, |p| &b[p * n..][..n]);
        let a = flipped(&a, k);
        let mut y = vec![0.5; m * n];
        transposed_product(&rows.left_transposed(&a, m), m, &rows, Accumulate::Add, n, &mut y);
        let want = triple_loop(&rounded_a, &left(&b), size);
        close(&y, want.iter().map(|w| w + 0.5), &what);
    }
}

/// Sizes of layers whose input lies in tiles: whole and broken steps, panels, blocks and chunks of the depth.
const TILED_SIZES: [[usize; 3]; 9] = [
    [1, 16, 16],
    [33, 144, 48],
    [64, 576, 64],
    [130, 32, 144],
    [48, 96, 288],
    [17, 1030, 32],
    [100, 2304, 16],
    [16, 7, 32],
    [70, 512, 80],
];

fn frozen(kernel: Kernel, b: &[f32], [_, k, n]: [usize; 3]) -> Packed {
    let mut factor = Packed::empty_for(kernel, true);
    factor.set_runs(&flipped(b, n), k, 1);
    factor
}

#[test]
fn products_of_tiles_agree_with_the_plain_twin_of_rounded_numbers() {
    for (kernel, size) in tiled_kernels().into_iter().flat_map(|kernel| TILED_SIZES.map(|size| (kernel, size))) {
        let [m, k, n] = size;
        let (a, b, bias, old) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
        let want = triple_loop(&rounded(&a), &rounded(&b), size);
        let factor = frozen(kernel, &b, size);
        assert!(factor.takes_tiles());
        let (x, what) = (TiledRows::of(&a, k), format!("{size:?}"));
        let mut y = vec![f32::NAN; m * n];
        tiled_product(&x, &factor, Accumulate::Overwrite, Epilogue::None, &mut y);
        close(&y, want.iter().copied(), &what);
        tiled_product(&x, &factor, Accumulate::Bias(&bias), Epilogue::Add(&old), &mut y);
        close(&y, (0..m * n).map(|i| want[i] + f64::from(bias[i % n] + old[i])), &what);
        y.copy_from_slice(&old);
        tiled_product(&x, &factor, Accumulate::Add, Epilogue::None, &mut y);
        close(&y, (0..m * n).map(|i| want[i] + f64::from(old[i])), &what);
        let activated = |i: usize| gelu((want[i] + f64::from(bias[i % n])) as f32);
        tiled_product(&x, &factor, Accumulate::Bias(&bias), Epilogue::Gelu, &mut y);
        assert!(y.iter().enumerate().all(|(i, y)| (y - activated(i)).abs() < 6e-5), "{what}");
        tiled_product(&x, &factor, Accumulate::Bias(&bias), Epilogue::GeluAdd(&old), &mut y);
        assert!(y.iter().enumerate().all(|(i, y)| (y - activated(i) - old[i]).abs() < 6e-5), "{what}");
        // As the next layer's tiles: a layer with a unit matrix gives them back.
        let unit: Vec<f32> = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect();
        let mut saved = vec![f32::NAN; m * n];
        let hidden = tiled_linear_gelu(&x, &factor, &bias, Some(&mut saved));
        let mut sums = vec![f32::NAN; m * n];
        linear(&a, &factor, &bias, Epilogue::None, &mut sums);
        assert!(
            saved.iter().zip(&sums).all(|(s, y)| s.to_bits() == y.to_bits()),
            "{what}: what is saved is recomputed"
        );
        // Rounded rows, and as an operand some columns of theirs.
        let halves = tiled_linear_halves(&x, &factor, &bias);
        tiled_linear(&halves, &frozen(kernel, &unit, [m, n, n]), &vec![0.0; n], Epilogue::None, &mut y);
        assert_eq!(y, rounded(&sums), "{what} as rows");
        let (from, some) = (m / 3, n / 16 * 8 + 2);
        let part = halves.part(from..m, n - some..n);
        let unit_of_some: Vec<f32> = (0..some * 16).map(|i| if i / 16 == i % 16 { 1.0 } else { 0.0 }).collect();
        let factor_of_some = frozen(kernel, &unit_of_some, [m - from, some, 16]);
        let mut first = vec![f32::NAN; (m - from) * 16];
        tiled_product(part, &factor_of_some, Accumulate::Overwrite, Epilogue::None, &mut first);
        let want = (0..m - from).flat_map(|i| (0..16).map(move |j| (i, j)));
        for ((i, j), got) in want.zip(&first) {
            let want = if j < some { y[(from + i) * n + n - some + j] } else { 0.0 };
            assert_eq!(*got, want, "{what}: some columns of rows {i} {j}");
        }
        tiled_linear(&hidden, &frozen(kernel, &unit, [m, n, n]), &vec![0.0; n], Epilogue::None, &mut y);
        let near = |i: usize| (y[i] - activated(i)).abs() < 6e-5 + activated(i).abs() / 256.0;
        assert!((0..m * n).all(near), "{what} as tiles");
        assert_eq!(rounded(&y), y, "{what}: rounded numbers");
    }
}

/// So the result does not depend on how rows are shared among threads.
#[test]
fn rows_in_tiles_do_not_know_of_one_another() {
    for kernel in tiled_kernels() {
        let size @ [m, k, n] = [150, 1100, 48];
        let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
        let factor = frozen(kernel, &b, size);
        let compute = |rows: usize| {
            let mut y = vec![f32::NAN; m * n];
            for (a, y) in a.chunks(rows * k).zip(y.chunks_mut(rows * n)) {
                tiled_linear(&TiledRows::of(a, k), &factor, &bias, Epilogue::Gelu, y);
            }
            y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let whole = compute(m);
        for rows in [1, 16, 32, 41, 96] {
            assert!(compute(rows) == whole, "{rows} rows at a time");
        }
    }
}

/// Blocks of some rows, out of order, and the steps of `runs` runs of `run` numbers, the last run first.
struct Blocks {
    lanes: Vec<f32>,
    row: usize,
    steps: Vec<usize>,
    blocks: Vec<RowBlock>,
}

impl Blocks {
    fn new(run: usize, runs: usize) -> Self {
        let (row, counts) = (run / 2, [32, 5, 17, 16, 1, 31]);
        let rows: usize = counts.iter().sum();
        let x = numbers((rows + 16 + 3 * runs) * run, 5);
        let lanes = x.as_chunks::<2>().0.iter().map(|pair| {
            let [low, high] = pair.map(|x| u32::from(half::bf16::from_f32(x).to_bits()));
            f32::from_bits(low | high << 16)
        });
        let steps = (0..runs).rev().flat_map(|r| (0..row).step_by(ROW_LANES).map(move |lane| 3 * r * row + lane));
        let mut first = rows;
        let blocks = counts.map(|rows| {
            first -= rows;
            RowBlock { start: first * row, row: first, rows }
        });
        Self { lanes: lanes.collect(), row, steps: steps.collect(), blocks: blocks.to_vec() }
    }

    fn left(&self) -> Left<'_> {
        Left { lanes: &self.lanes, row: self.row, steps: &self.steps, blocks: &self.blocks }
    }
}

#[test]
fn products_of_blocks_are_those_of_runs_to_the_bit() {
    for (kernel, [run, runs, n]) in tiled_kernels()
        .into_iter()
        .flat_map(|kernel| [[32, 1, 16], [64, 9, 64], [32, 7, 48], [96, 25, 80]].map(|size| (kernel, size)))
    {
        let mut factor = Packed::empty_for(kernel, true);
        factor.set_runs(&numbers(run * runs * n, 2), run, runs);
        assert!(factor.takes_tiles());
        let mut x = Blocks::new(run, runs);
        // a number that is none, for the rows that read it
        x.lanes[40 * x.row] = f32::NAN;
        let shifts: Vec<isize> = (0..runs as isize).rev().map(|r| 3 * r * x.row as isize).collect();
        let m = x.blocks.iter().map(|block| block.rows).sum();
        let starts: Vec<usize> = (0..m).map(|i| i * x.row).collect();
        let (bias, old) = (numbers(n, 3), numbers(m * n, 4));
        for (onto, then) in [
            (Accumulate::Overwrite, Epilogue::None),
            (Accumulate::Overwrite, Epilogue::Relu),
            (Accumulate::Bias(&bias), Epilogue::None),
            (Accumulate::Bias(&bias), Epilogue::Relu),
            (Accumulate::Add, Epilogue::None),
        ] {
            let [mut y, mut want] = [(); 2].map(|()| old.clone());
            tiled_product_of_blocks(x.left(), &factor, onto, then, &mut y);
            // Added to what is there at last, not at first.
            let taps = Runs { run: x.row, shifts: &shifts };
            let add = matches!(onto, Accumulate::Add);
            let first = if add { Accumulate::Overwrite } else { onto };
            product_of_runs((&x.lanes, &starts), taps, &factor, first, then, &mut want);
            if add {
                want.iter_mut().zip(&old).for_each(|(y, old)| *y += old);
            }
            let same = |(y, want): (&f32, &f32)| y.to_bits() == want.to_bits() || y.is_nan() && want.is_nan();
            assert!(y.iter().zip(&want).all(same), "{run} {runs} {n} {onto:?} {then:?}");
            let lost = y.iter().filter(|y| y.is_nan()).count();
            assert!(lost > 0 && lost <= runs * n, "{lost} are no numbers");
        }
    }
}

#[test]
fn blocks_that_lie_elsewhere_are_refused() {
    for kernel in tiled_kernels() {
        let (run, runs, n) = (32, 3, 16);
        let mut factor = Packed::empty_for(kernel, true);
        factor.set_runs(&numbers(run * runs * n, 2), run, runs);
        let refused = |spoil: &dyn Fn(&mut Blocks)| {
            let mut x = Blocks::new(run, runs);
            let mut y = vec![0.0; n * x.blocks.iter().map(|block| block.rows).sum::<usize>()];
            spoil(&mut x);
            let product = || {
                tiled_product_of_blocks(x.left(), &factor, Accumulate::Overwrite, Epilogue::None, &mut y);
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(product)).is_err()
        };
        assert!(!refused(&|_| ()));
        assert!(refused(&|x| x.lanes.truncate(x.lanes.len() - 16 * run)), "lanes of the last rows");
        assert!(refused(&|x| x.row = usize::MAX / 8), "rows far apart");
        assert!(refused(&|x| x.steps[1] = usize::MAX - 8), "a step far away");
        assert!(refused(&|x| x.steps.truncate(2)), "a step is missing");
        assert!(refused(&|x| x.blocks[1].start = usize::MAX - 100), "a block far away");
        assert!(refused(&|x| x.blocks[0].row += 1), "rows beyond the last one");
        assert!(refused(&|x| x.blocks[3].row = usize::MAX), "a row far away");
        assert!(refused(&|x| x.blocks[0].rows = 33), "a block too high");
        assert!(refused(&|x| x.blocks[4].rows = 0), "a block of nothing");
        assert!(refused(&|x| x.blocks.truncate(5)), "a block is missing");
    }
}

#[test]
fn runs_of_a_column_end_on_whole_lanes() {
    let (run, runs, columns) = (5, 3, 2);
    let matrix = numbers(run * runs * columns, 1);
    for precision in [Precision::F32, Precision::Bf16] {
        let factor = Packed::from_runs(&matrix, run, runs, precision);
        let x = numbers(2 * run, 2);
        let lanes = factor.left_matrix(&x, run);
        let mut y = vec![0.0; 2 * columns];
        product(
            &rows_of(&lanes, factor.lanes_in(run)),
            &factor,
            factor.lanes_in(run),
            Accumulate::Overwrite,
            Epilogue::None,
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
