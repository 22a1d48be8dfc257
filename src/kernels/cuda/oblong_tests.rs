//! Maps that are not as high as wide: a map on its side must give its result on its side, for every kernel that knows
//! height and width.

use super::buffer::Buffer;
use super::conv::Conv;
use super::gpu::Gpu;
use super::open::tested_gpu;
use super::resample::Enlarge;
use super::view::{Slice, SliceMut};
use super::{loss, patch_embed, rows};
use crate::kernels::conv2d::ConvSize;
use crate::kernels::device::Device;
use crate::kernels::exclusive_loss::ExclusiveLossKernel;
use crate::kernels::extent::Extent;
use crate::kernels::patch_embed::StemSize;
use crate::kernels::precision::Precision;

const OBLONG: Extent = Extent { height: 36, width: 8 };

fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

fn turned(Extent { height, width }: Extent) -> Extent {
    Extent { height: width, width: height }
}

/// Maps `(maps, height, width, c)` as `(maps, width, height, c)`.
fn on_its_side(x: &[f32], Extent { height, width }: Extent, c: usize) -> Vec<f32> {
    let area = height * width * c;
    assert!(x.len().is_multiple_of(area));
    let from = |i: usize| i / area * area + (i / c % height * width + i / c / height % width) * c + i % c;
    (0..x.len()).map(|i| x[from(i)]).collect()
}

/// Puts numbers on the device.
fn put(gpu: &Gpu, numbers: Vec<f32>) -> Buffer {
    gpu.uninit(numbers.len(), |y| gpu.upload(&numbers, y)).unwrap()
}

/// What a kernel adds to, or writes in place of, `start`.
fn given(gpu: &Gpu, start: &[f32], work: impl FnOnce(SliceMut<'_>)) -> Vec<f32> {
    let mut numbers = gpu.device().htod_sync_copy(start).unwrap();
    work((&mut numbers).into());
    gpu.device().dtoh_sync_copy(&numbers).unwrap()
}

/// A case: numbers of maps of this extent to numbers of maps of another.
fn check(name: &str, run: impl Fn(&Gpu, Extent, bool) -> (Vec<f32>, Extent, usize)) {
    let Some(gpu) = tested_gpu() else {
        return;
    };
    let (upright, extent, c) = run(&gpu, OBLONG, false);
    let (turned, turned_extent, _) = run(&gpu, self::turned(OBLONG), true);
    assert!(extent == self::turned(turned_extent) && upright.len() == turned.len(), "{name}");
    assert!(upright.iter().any(|v| *v != 0.0), "{name}");
    for (i, (a, b)) in on_its_side(&upright, extent, c).iter().zip(&turned).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{name}: number {i} is {a} and {b}");
    }
}

/// Random maps of the upright extent, turned if asked for.
fn maps(count: usize, extent: Extent, c: usize, seed: u32, side: bool) -> Vec<f32> {
    let x = numbers(count * extent.area() * c, seed);
    if side { on_its_side(&x, turned(extent), c) } else { x }
}

#[test]
fn convolutions() {
    let (c, co) = (3, 4);
    let size = |map| ConvSize {
        batch: 2,
        map,
        channels: c,
        out_channels: co,
        kernel: [3, 3],
        dilation: 2,
        precision: Precision::F32,
    };
    let kernel = |side| maps(co * c, Extent::square(3), 1, 2, side);
    check("convolution", |gpu, extent, side| {
        let (x, w) = (put(gpu, maps(2, extent, c, 1, side)), put(gpu, kernel(side)));
        let conv = Conv::new(gpu, size(extent));
        let y = given(gpu, &vec![0.0; 2 * extent.area() * co], |y| {
            conv.forward((&x).into(), (&w).into(), None, false, y).unwrap();
        });
        (y, extent, co)
    });
    let gradients = |gpu: &Gpu, extent: Extent, side| {
        let (x, w) = (put(gpu, maps(2, extent, c, 1, side)), put(gpu, kernel(side)));
        let gy = put(gpu, maps(2, extent, co, 3, side));
        let conv = Conv::new(gpu, size(extent));
        let mut gw = Vec::new();
        let gx = given(gpu, &vec![0.0; 2 * extent.area() * c], |gx| {
            gw = given(gpu, &vec![0.0; co * c * 9], |gw| {
                conv.backward((&x).into(), (&w).into(), None, (&gy).into(), (gx, gw, None)).unwrap();
            });
        });
        (gx, gw)
    };
    check("a convolution's gradient", |gpu, extent, side| (gradients(gpu, extent, side).0, extent, c));
    check("a convolution's weight's gradient", |gpu, extent, side| {
        (gradients(gpu, extent, side).1, Extent::square(3), 1)
    });
}

#[test]
fn resampling() {
    for (corners, groups, channels, row, offset) in [(false, 3, 1, 1, 0), (true, 1, 3, 5, 2)] {
        let of = |extent: Extent| {
            let to = Extent { height: 2 * extent.height, width: 2 * extent.width };
            Enlarge { images: 2, groups, channels, from: extent, to, corners, row, offset }
        };
        check("resampling", |gpu, extent, side| {
            let (enlarge, x) = (of(extent), put(gpu, maps(2, extent, groups * channels, 1, side)));
            let n = 2 * groups * enlarge.to.area() * row;
            let y = given(gpu, &vec![0.0; n], |y| enlarge.forward(gpu, (&x).into(), y).unwrap());
            (y, enlarge.to, row)
        });
        check("resampling's gradient", |gpu, extent, side| {
            let enlarge = of(extent);
            let gy = put(gpu, maps(2 * groups, enlarge.to, row, 2, side));
            let start = vec![0.0; 2 * extent.area() * groups * channels];
            let gx = given(gpu, &start, |gx| enlarge.backward(gpu, (&gy).into(), gx).unwrap());
            (gx, extent, groups * channels)
        });
    }
}

#[test]
fn patches_and_positions() {
    let c = 4;
    check("patch embedding", |gpu, extent, side| {
        let x = put(gpu, maps(2 * 3, extent, 1, 1, side));
        let squares = |n, length, seed| put(gpu, maps(n, Extent::square(length), 1, seed, side));
        let (weight, background, window) = (squares(3 * c, 7, 2), squares(c, 7, 3), squares(c, 4, 4));
        let bias = put(gpu, numbers(c, 6));
        let weights = [&weight, &bias, &background, &window].map(Slice::from);
        let y = given(gpu, &vec![0.0; 2 * extent.quarter().area() * c], |y| {
            patch_embed::forward(gpu, StemSize { batch: 2, image: extent, channels: c }, (&x).into(), weights, y)
                .unwrap();
        });
        (y, extent.quarter(), c)
    });
}

#[test]
fn loss_weights() {
    check("loss weights", |gpu, extent, side| {
        let mask = put(gpu, maps(3, extent, 1, 1, side));
        let y = given(gpu, &vec![0.0; 3 * extent.area()], |y| {
            loss::weights(gpu, extent, (&mask).into(), None, y).unwrap();
        });
        (y, extent, 1)
    });
    check("loss weights of masks that are known in part", |gpu, extent, side| {
        let known = maps(3, extent, 1, 2, side).into_iter().map(|v| f32::from(v > -0.5)).collect();
        let [mask, known] = [maps(6, extent, 1, 1, side), known].map(|numbers| put(gpu, numbers));
        let y = given(gpu, &vec![0.0; 6 * extent.area()], |y| {
            loss::weights(gpu, extent, (&mask).into(), Some((&known).into()), y).unwrap();
        });
        (y, extent, 1)
    });
    check("loss weights of index maps", |gpu, extent, side| {
        let index = maps(3, extent, 1, 1, side).into_iter().map(|v| (4.0 * v.abs()).floor()).collect();
        let index = put(gpu, index);
        let y = given(gpu, &vec![0.0; 3 * extent.area()], |y| gpu.exclusive_weights(extent, 3, &index, y).unwrap());
        (y, extent, 1)
    });
}

#[test]
fn pools() {
    let c = 5;
    check("a pool", |gpu, extent, side| {
        let half = extent.halved();
        let (full, bias) = (put(gpu, maps(2, extent, c, 1, side)), put(gpu, numbers(c, 2)));
        let (full, bias) = (Slice::from(&full), Slice::from(&bias));
        let y = given(gpu, &vec![0.0; 2 * half.area() * c], |y| {
            rows::bias_add_pooled(gpu, half, y, bias, full, bias).unwrap();
        });
        (y, half, c)
    });
    check("a pool's gradient", |gpu, extent, side| {
        let half = extent.halved();
        let (full, bias) = (maps(2, extent, c, 1, side), put(gpu, numbers(c, 2)));
        let g = put(gpu, maps(2, half, c, 3, side));
        let gx = given(gpu, &full, |full| {
            rows::pool_backward(gpu, half, full, (&bias).into(), (&g).into()).unwrap();
        });
        (gx, extent, c)
    });
}
