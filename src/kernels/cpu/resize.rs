//! Resizing of a head's map to the image's size (bilinear, `align_corners=False`), class by class.

use super::bilinear::Bilinear;
use super::buffer::Buffer;
use super::device::{Cpu, Done};
use crate::kernels::extent::Extent;
use crate::kernels::profile::{Kind, scope};
use crate::kernels::resize::{ResizeKernel, ResizeSize};
use rayon::prelude::*;

/// `(b, from, k)` to `(b, k, to)`, where `from` and `to` are height and width.
pub fn resize([from, to]: [Extent; 2], k: usize, x: &[f32], y: &mut [f32]) {
    let bilinear = Bilinear::edges(from, to);
    let planes = to_planes(x, from.area(), k);
    y.par_chunks_mut(to.width).enumerate().for_each(|(row, y)| {
        let plane = &planes[row / to.height * from.area()..][..from.area()];
        bilinear.line(plane, 1, row % to.height, y, 1);
    });
}

/// Adds to the gradient of [`resize`]'s input.
pub fn resize_backward([from, to]: [Extent; 2], k: usize, gy: &[f32], gx: &mut [f32]) {
    let bilinear = Bilinear::edges(from, to);
    let pixels = from.area();
    let mut planes = vec![0.0; gx.len()];
    for (g, gy) in planes.chunks_mut(pixels).zip(gy.chunks(to.area())) {
        bilinear.backward(gy, 1, g, 1);
    }
    for (gx, planes) in gx.chunks_mut(pixels * k).zip(planes.chunks(pixels * k)) {
        for (i, g) in gx.iter_mut().enumerate() {
            *g += planes[i % k * pixels + i / k];
        }
    }
}

/// `(b, pixels, k)` to `(b, k, pixels)`.
fn to_planes(x: &[f32], pixels: usize, k: usize) -> Vec<f32> {
    let mut planes = vec![0.0; x.len()];
    for (x, planes) in x.chunks(pixels * k).zip(planes.chunks_mut(pixels * k)) {
        for (i, v) in x.iter().enumerate() {
            planes[i % k * pixels + i / k] = *v;
        }
    }
    planes
}

impl ResizeKernel for Cpu {
    fn resize(&self, s: ResizeSize, x: &Buffer, y: &mut [f32]) -> Done {
        assert_eq!([x.len(), y.len()], s.lengths(), "numbers of map and result");
        let _work = scope(Kind::Resample, 0);
        resize([s.from, s.to], s.classes, x, y);
        Ok(())
    }

    fn resize_backward(&self, s: ResizeSize, gy: &Buffer, gx: &mut [f32]) -> Done {
        assert_eq!([gx.len(), gy.len()], s.lengths(), "numbers of map and result");
        let _work = scope(Kind::Resample, 0);
        resize_backward([s.from, s.to], s.classes, gy, gx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bilinear::tests::{close, each_term};
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    #[test]
    fn maps_of_any_size_agree_with_the_plain_twin() {
        let (batch, k) = (2, 3);
        for [from, to] in [[(6, 6), (24, 24)], [(5, 7), (12, 9)], [(6, 10), (24, 40)], [(6, 10), (3, 20)]] {
            let [from, to] = [from, to].map(|(height, width)| Extent { height, width });
            let (x, gy) = (numbers(batch * from.area() * k, 1), numbers(batch * to.area() * k, 2));
            let (mut want, mut want_x) = (vec![0.0; gy.len()], vec![0.25; x.len()]);
            for (map, class) in (0..batch).flat_map(|map| (0..k).map(move |class| (map, class))) {
                each_term(from, to, false, |i, j, weight| {
                    let (i, j) = ((map * k + class) * to.area() + i, (map * from.area() + j) * k + class);
                    want[i] += weight * f64::from(x[j]);
                    want_x[j] += weight * f64::from(gy[i]);
                });
            }
            let mut y = vec![f32::NAN; gy.len()];
            resize([from, to], k, &x, &mut y);
            close(&y, &want, &format!("{from:?} {to:?}"));
            let mut gx = vec![0.25; x.len()];
            resize_backward([from, to], k, &gy, &mut gx);
            close(&gx, &want_x, &format!("{from:?} {to:?}, gradient"));
        }
    }
}
