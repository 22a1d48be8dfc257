//! The join of a decoder step: the deep map is upsampled (bilinear, `align_corners=True`) and concatenated to the skip.

use super::bilinear::Bilinear;
use super::buffer::Buffer;
use super::device::{Cpu, Done};
use crate::kernels::extent::Extent;
use crate::kernels::profile::{Kind, scope};
use crate::kernels::up2_concat::{JoinSize, Up2ConcatKernel};
use rayon::prelude::*;

/// `[skip, upsampled deep map]` along the channels: skip `(b, h, w, c)` of extent `h x w`, both even; deep `(b, h/2, w/2, cd)`.
pub fn up2_concat(extent: Extent, [c, cd]: [usize; 2], skip: &[f32], deep: &[f32], y: &mut [f32]) {
    let Extent { height, width } = extent;
    let bilinear = Bilinear::corners(extent.halved(), extent);
    let (pixel, map) = (c + cd, extent.halved().area() * cd);
    y.par_chunks_mut(width * pixel).zip(skip.par_chunks(width * c)).enumerate().for_each(|(row, (y, skip))| {
        for (y, skip) in y.chunks_exact_mut(pixel).zip(skip.chunks_exact(c)) {
            y[..c].copy_from_slice(skip);
        }
        bilinear.line(&deep[row / height * map..][..map], cd, row % height, y, pixel);
    });
}

/// Adds to the gradients of skip and deep.
pub fn up2_concat_backward(extent: Extent, [c, cd]: [usize; 2], gy: &[f32], g_skip: &mut [f32], g_deep: &mut [f32]) {
    let bilinear = Bilinear::corners(extent.halved(), extent);
    let pixel = c + cd;
    g_skip.par_chunks_mut(extent.width * c).zip(gy.par_chunks(extent.width * pixel)).for_each(|(g, gy)| {
        for (g, gy) in g.chunks_exact_mut(c).zip(gy.chunks_exact(pixel)) {
            g.iter_mut().zip(gy).for_each(|(g, v)| *g += v);
        }
    });
    for (g, gy) in g_deep.chunks_mut(extent.halved().area() * cd).zip(gy.chunks(extent.area() * pixel)) {
        bilinear.backward(gy, pixel, g, cd);
    }
}

impl Up2ConcatKernel for Cpu {
    fn up2_concat(&self, s: JoinSize, skip: &Buffer, deep: &Buffer, y: &mut [f32]) -> Done {
        assert_eq!([skip.len(), deep.len(), y.len()], s.lengths(), "numbers of skip, deep map and result");
        let _work = scope(Kind::Resample, 0);
        up2_concat(s.map, [s.skip, s.deep], skip, deep, y);
        Ok(())
    }

    fn up2_concat_backward(&self, s: JoinSize, gy: &Buffer, [skip, deep]: [&mut [f32]; 2]) -> Done {
        assert_eq!([skip.len(), deep.len(), gy.len()], s.lengths(), "numbers of skip, deep map and result");
        let _work = scope(Kind::Resample, 0);
        up2_concat_backward(s.map, [s.skip, s.deep], gy, skip, deep);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bilinear::tests::{close, each_term};
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    #[test]
    fn maps_of_any_even_size_agree_with_the_plain_twin() {
        let (batch, c, cd) = (2, 3, 5);
        for (height, width) in [(8, 8), (6, 10), (10, 4), (2, 6)] {
            let extent = Extent { height, width };
            let (pixels, deep_pixels, pixel) = (extent.area(), extent.halved().area(), c + cd);
            let (skip, deep) = (numbers(batch * pixels * c, 1), numbers(batch * deep_pixels * cd, 2));
            let gy = numbers(batch * pixels * pixel, 3);
            let (mut want, mut want_deep) = (vec![0.0; gy.len()], vec![0.25; deep.len()]);
            let mut want_skip = vec![0.5; skip.len()];
            for map in 0..batch {
                for (p, ch) in (0..pixels).flat_map(|p| (0..c).map(move |ch| (p, ch))) {
                    let (from, to) = ((map * pixels + p) * c + ch, (map * pixels + p) * pixel + ch);
                    want[to] = f64::from(skip[from]);
                    want_skip[from] += f64::from(gy[to]);
                }
                each_term(extent.halved(), extent, true, |i, j, weight| {
                    for ch in 0..cd {
                        let (to, from) = ((map * pixels + i) * pixel + c + ch, (map * deep_pixels + j) * cd + ch);
                        want[to] += weight * f64::from(deep[from]);
                        want_deep[from] += weight * f64::from(gy[to]);
                    }
                });
            }
            let mut y = vec![f32::NAN; gy.len()];
            up2_concat(extent, [c, cd], &skip, &deep, &mut y);
            close(&y, &want, &format!("{extent:?}"));
            let (mut g_skip, mut g_deep) = (vec![0.5; skip.len()], vec![0.25; deep.len()]);
            up2_concat_backward(extent, [c, cd], &gy, &mut g_skip, &mut g_deep);
            close(&g_skip, &want_skip, &format!("{extent:?}, gradient of the skip"));
            close(&g_deep, &want_deep, &format!("{extent:?}, gradient of the deep map"));
        }
    }
}
