//! Convolutions against a plain loop in double precision.

use super::tap_rows;
use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::test_kernels::tiled_factors;
use crate::kernels::cpu::gemm::test_numbers::{numbers, rounded};
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;

/// The reference implementation, forward and backward: calls `term` with places in output, input and weight that belong together.
fn each_term(s: &ConvSize, mut term: impl FnMut([usize; 3])) {
    let (Extent { height, width }, c, co, [kh, kw]) = (s.map, s.channels, s.out_channels, s.kernel);
    let at = |p: usize, i: usize, k: usize, length: usize| {
        (p + s.dilation * i).checked_sub(s.dilation * (k / 2)).filter(|p| *p < length)
    };
    for (pixel, tap) in (0..s.pixels()).flat_map(|pixel| (0..kh * kw).map(move |tap| (pixel, tap))) {
        let (map, y, x) = (pixel / (height * width), pixel / width % height, pixel % width);
        let (Some(y), Some(x)) = (at(y, tap / kw, kh, height), at(x, tap % kw, kw, width)) else { continue };
        let read = (map * height + y) * width + x;
        for (o, ch) in (0..co).flat_map(|o| (0..c).map(move |ch| (o, ch))) {
            term([pixel * co + o, read * c + ch, (o * c + ch) * kh * kw + tap]);
        }
    }
}

fn close(got: &[f32], want: &[f64], what: &str) {
    let largest = want.iter().fold(1.0, |most: f64, w| most.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() < 2e-6 * largest, "{what}, number {i}: {g} {w}");
    }
}

fn agrees_with_the_plain_twin(s: &ConvSize) {
    let halves = Packed::computed_in(s.precision) == Precision::Bf16;
    let factor = |n: usize, seed: u32| if halves { rounded(&numbers(n, seed)) } else { numbers(n, seed) };
    let (inputs, outputs) = (s.pixels() * s.channels, s.pixels() * s.out_channels);
    let (x, w) = (numbers(inputs, 1), numbers(s.taps() * s.channels * s.out_channels, 2));
    let (bias, gy) = (numbers(s.out_channels, 3), numbers(outputs, 4));
    let (as_x, as_w, as_gy) = (factor(inputs, 1), factor(w.len(), 2), factor(outputs, 4));
    let mut want: Vec<f64> = (0..outputs).map(|i| f64::from(bias[i % s.out_channels])).collect();
    let (mut want_x, mut want_w) = (vec![0.25; inputs], vec![0.5; w.len()]);
    each_term(s, |[y, x, w]| {
        want[y] += f64::from(as_x[x]) * f64::from(as_w[w]);
        want_x[x] += f64::from(as_gy[y]) * f64::from(as_w[w]);
        want_w[w] += f64::from(as_gy[y]) * f64::from(as_x[x]);
    });
    let mut y = vec![f32::NAN; outputs];
    s.forward(&x, &s.packed_weight(&w), Some(&bias), false, &mut y);
    close(&y, &want, &format!("{s:?}"));
    s.forward(&x, &s.packed_weight(&w), Some(&bias), true, &mut y);
    want.iter_mut().for_each(|w| *w = w.max(0.0));
    close(&y, &want, &format!("{s:?}, ReLU"));
    let (mut gx, mut gw) = (vec![0.25; inputs], vec![0.5; w.len()]);
    s.backward_input(&w, &gy, &mut gx);
    close(&gx, &want_x, &format!("{s:?}, gradient of the input"));
    s.backward_weight(&x, &gy, &mut gw, None);
    close(&gw, &want_w, &format!("{s:?}, gradient of the weight"));
}

#[test]
fn any_kernel_on_maps_of_any_size_agrees_with_the_plain_twin() {
    let kernels = [[1, 1], [1, 3], [3, 1], [3, 3], [1, 7], [5, 1]];
    let channels = [[1, 1], [2, 17], [5, 3], [33, 16], [70, 5], [16, 64]];
    let cases = kernels.into_iter().flat_map(|kernel| [1, 3, 5, 7].map(|dilation| (kernel, dilation)));
    for (i, (kernel, dilation)) in cases.enumerate() {
        for side in [1, 2, 3, 7, 11, 15].into_iter().filter(|side| (side + i) % 2 == 0 || *side > 10) {
            let [channels, out_channels] = channels[(side + i) % channels.len()];
            let batch = 1 + (side + i) % 3;
            for precision in [Precision::F32, Precision::Bf16] {
                agrees_with_the_plain_twin(&ConvSize {
                    batch,
                    map: Extent::square(side),
                    channels,
                    out_channels,
                    kernel,
                    dilation,
                    precision,
                });
            }
        }
    }
}

#[test]
fn maps_that_are_not_square_agree_with_the_plain_twin() {
    let kernels = [[1, 1], [1, 3], [3, 1], [3, 3], [1, 7], [5, 1]];
    let extents = [(6, 10), (5, 7), (9, 2), (1, 12), (13, 4)];
    for (i, (height, width)) in extents.into_iter().enumerate() {
        for (j, (kernel, dilation)) in kernels.into_iter().flat_map(|k| [(k, 1), (k, 3)]).enumerate() {
            let [channels, out_channels] = [[2, 17], [5, 3], [33, 16], [70, 5]][(i + j) % 4];
            for precision in [Precision::F32, Precision::Bf16] {
                let (batch, extent) = (1 + (i + j) % 3, Extent { height, width });
                agrees_with_the_plain_twin(&ConvSize {
                    batch,
                    map: extent,
                    channels,
                    out_channels,
                    kernel,
                    dilation,
                    precision,
                });
            }
        }
    }
    // several tasks and groups of maps
    for precision in [Precision::F32, Precision::Bf16] {
        let extent = Extent { height: 70, width: 46 };
        let sizes = (3, extent, 6, 20, [3, 3], 2);
        let (batch, extent, channels, out_channels, kernel, dilation) = sizes;
        agrees_with_the_plain_twin(&ConvSize {
            batch,
            map: extent,
            channels,
            out_channels,
            kernel,
            dilation,
            precision,
        });
    }
}

#[test]
fn large_maps_and_many_channels_agree_with_the_plain_twin() {
    // Several tasks and blocks of maps; several slabs and panels.
    for (batch, side, channels, out_channels, kernel, dilation) in
        [(3, 60, 4, 3, [3, 3], 1), (2, 20, 130, 40, [3, 3], 2), (1, 12, 410, 33, [1, 1], 1), (2, 40, 24, 70, [1, 7], 1)]
    {
        for precision in [Precision::F32, Precision::Bf16] {
            let extent = Extent::square(side);
            let size = ConvSize { batch, map: extent, channels, out_channels, kernel, dilation, precision };
            agrees_with_the_plain_twin(&size);
        }
    }
}

/// Sizes whose products are of rows or blocks of pixels where a machine has those: lines of a block and more, of less,
/// and of one pixel; a last step that is not whole, where there is one tap.
fn sizes_for_blocks() -> Vec<ConvSize> {
    let sizes = [
        (2, [13, 41], [64, 32], [3, 3], 1),
        (1, [5, 70], [32, 64], [3, 3], 3),
        (3, [11, 11], [64, 64], [3, 3], 5),
        (1, [9, 17], [96, 32], [3, 3], 7),
        (2, [33, 1], [32, 96], [7, 1], 1),
        (1, [1, 33], [32, 32], [1, 5], 2),
        (2, [24, 50], [64, 32], [1, 3], 1),
        (1, [30, 30], [144, 64], [1, 1], 1),
        (2, [7, 5], [80, 48], [1, 1], 3),
        (1, [4, 9], [7, 32], [1, 1], 1),
    ];
    let sizes = sizes.map(|(batch, [height, width], [channels, out_channels], kernel, dilation)| {
        let map = Extent { height, width };
        ConvSize { batch, map, channels, out_channels, kernel, dilation, precision: Precision::Bf16 }
    });
    sizes.to_vec()
}

#[test]
fn products_of_blocks_of_pixels_agree_with_the_plain_twin() {
    sizes_for_blocks().iter().for_each(agrees_with_the_plain_twin);
}

/// On every micro-kernel for tiles, also where it is emulated.
#[test]
fn products_of_blocks_of_pixels_are_those_of_runs_to_the_bit() {
    for s in sizes_for_blocks() {
        let (c, co) = (s.channels, s.out_channels);
        let mut x = numbers(s.pixels() * c, 1);
        // in the middle, at the first and at the last pixel
        for (at, spoiled) in [(x.len() / 2, f32::NAN), (0, f32::INFINITY), (x.len() - 1, f32::NEG_INFINITY)] {
            x[at] = spoiled;
        }
        let (w, bias) = (numbers(s.taps() * c * co, 2), numbers(co, 3));
        for (factor, sign) in
            tiled_factors(&s.weight_by_tap(&w), c, s.taps()).iter().flat_map(|factor| [(factor, 1), (factor, -1)])
        {
            assert!(factor.takes_tiles());
            for (onto, then) in [
                (Accumulate::Bias(&bias), Epilogue::Relu),
                (Accumulate::Bias(&bias), Epilogue::None),
                (Accumulate::Overwrite, Epilogue::Relu),
            ] {
                let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; s.pixels() * co]);
                s.apply_bf16((&x, c), sign, factor, onto, then, &mut y);
                s.apply_runs((&x, c), sign, factor, onto, then, &mut want);
                for (i, (y, w)) in y.iter().zip(&want).enumerate() {
                    let same = y.to_bits() == w.to_bits() || y.is_nan() && w.is_nan();
                    assert!(same, "{s:?} {sign} {onto:?} {then:?}, number {i}: {y} {w}");
                }
                assert!(y.iter().any(|y| y.is_nan()) && y.iter().any(|y| y.is_finite()), "{s:?}");
            }
        }
    }
}

#[test]
fn no_number_depends_on_the_number_of_threads() {
    let sizes = [(Precision::F32, [40, 24]), (Precision::Bf16, [40, 24]), (Precision::Bf16, [64, 32])];
    for (precision, [channels, out_channels]) in sizes {
        let map = Extent { height: 28, width: 32 };
        let size = ConvSize { batch: 3, map, channels, out_channels, kernel: [3, 3], dilation: 3, precision };
        let (x, w) = (numbers(size.pixels() * channels, 1), numbers(9 * channels * out_channels, 2));
        let gy = numbers(size.pixels() * out_channels, 3);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut y, mut gx, mut gw) = (gy.clone(), x.clone(), w.clone());
            pool.install(|| {
                size.forward(&x, &size.packed_weight(&w), None, true, &mut y);
                size.backward_input(&w, &gy, &mut gx);
                size.backward_weight(&x, &gy, &mut gw, None);
            });
            [y, gx, gw].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = run(1);
        assert!(run(2) == one && run(5) == one, "{precision:?}");
    }
}

#[test]
fn a_tap_reads_what_a_plain_loop_reads() {
    let (channels, maps) = (2, 3);
    for (height, width) in [(5, 5), (4, 7), (7, 3)] {
        let (extent, pixels) = (Extent { height, width }, maps * height * width);
        let x: Vec<f32> = (1..=pixels * channels).map(|v| v as f32).collect();
        let zeros = [0.0; 2];
        for (dy, dx) in (-7..=7).flat_map(|dy| (-7..=7).map(move |dx| (dy, dx))) {
            for (from, count) in [(0, pixels), (3, 1), (7, 30), (24, 2), (pixels - 1, 1)] {
                let mut rows = Vec::new();
                tap_rows(extent, &x, channels, [dy, dx], (from, count), &zeros, &mut rows);
                let want = (from..from + count).map(|pixel| {
                    let map = pixel / (height * width);
                    let (y, x0) = ((pixel / width % height) as isize + dy, (pixel % width) as isize + dx);
                    let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x0);
                    match inside {
                        true => &x[((map * height + y as usize) * width + x0 as usize) * 2..][..2],
                        false => &zeros[..],
                    }
                });
                assert!(rows.iter().copied().eq(want), "{extent:?}, offset {dy} {dx}, pixels {from} + {count}");
            }
        }
    }
}
