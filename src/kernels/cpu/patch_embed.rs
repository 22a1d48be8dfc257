//! The frozen stem: a 7x7 convolution with stride 4 and padding 3, plus the positional embedding.

use super::buffer::Buffer;
use super::device::{Cpu, Done, FrozenWeight};
use super::positional_embedding::positional_embedding;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue, matrix_product};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::extent::Extent;
use crate::kernels::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{Kind, scope};
use rayon::prelude::*;
use std::sync::Arc;

const KERNEL: usize = 7;
const STRIDE: usize = 4;
const PADDING: usize = 3;

/// Images `(b, 3, h, w)` of `extent` to maps `(b, h/4, w/4, c)`; weight `(c, 3, 7, 7)`, bias `(c)`.
pub fn forward(
    extent: Extent,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    background: &[f32],
    window: &[f32],
    y: &mut [f32],
) {
    let (Extent { height, width }, c, map) = (extent, bias.len(), extent.quarter());
    let taps = 3 * KERNEL * KERNEL;
    let weight = Packed::from_columns(weight, taps, Precision::F32);
    let embedding = positional_embedding(c, map, background, window);
    y.par_chunks_mut(map.width * c).enumerate().for_each_init(
        || vec![0.0; map.width * taps],
        |patches, (i, y)| {
            let (image, row) = (i / map.height, i % map.height);
            for (col, patch) in patches.chunks_exact_mut(taps).enumerate() {
                // Taps `left..right` of a line read the image, the others its padding.
                let left = PADDING.saturating_sub(STRIDE * col);
                let right = KERNEL.min(width + PADDING - STRIDE * col);
                for (line, p) in patch.as_chunks_mut::<KERNEL>().0.iter_mut().enumerate() {
                    let (plane, yy) = (line / KERNEL, STRIDE * row + line % KERNEL);
                    if !(PADDING..height + PADDING).contains(&yy) {
                        *p = [0.0; KERNEL];
                        continue;
                    }
                    let start = ((image * 3 + plane) * height + yy - PADDING) * width + STRIDE * col;
                    let taps = &x[start + left - PADDING..start + right - PADDING];
                    match taps.as_array() {
                        Some(taps) => *p = *taps,
                        None => {
                            *p = [0.0; KERNEL];
                            p[left..right].copy_from_slice(taps);
                        }
                    }
                }
            }
            let embedding = &embedding[row * map.width * c..][..map.width * c];
            matrix_product(patches, taps, &weight, 0, Accumulate::Bias(bias), Epilogue::Add(embedding), y);
        },
    );
}

impl PatchEmbedKernel for Cpu {
    fn patch_embed(&self, size: StemSize, x: &Buffer, w: StemWeights<'_, Arc<FrozenWeight>>, y: &mut [f32]) -> Done {
        let (images, maps) =
            (size.batch * 3 * size.image.area(), size.batch * size.image.quarter().area() * size.channels);
        assert_eq!([x.len(), y.len()], [images, maps], "numbers of images and maps");
        let _work = scope(Kind::Convolution, 0);
        let [weight, bias, background, window] = [w.weight, w.bias, w.background, w.window].map(|w| w.values());
        forward(size.image, x, weight, bias, background, window, y);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::test_numbers::numbers;

    #[test]
    fn images_of_any_size_agree_with_the_plain_twin() {
        let (batch, c) = (2, 5);
        let (weight, bias) = (numbers(c * 3 * KERNEL * KERNEL, 1), numbers(c, 2));
        let (background, window) = (numbers(c * 7 * 7, 3), numbers(c * 2 * 2, 4));
        for (height, width) in [(32, 32), (24, 40), (20, 8)] {
            let extent = Extent { height, width };
            let map = extent.quarter();
            let x = numbers(batch * 3 * extent.area(), 5);
            let embedding = positional_embedding(c, map, &background, &window);
            let mut got = vec![f32::NAN; batch * map.area() * c];
            forward(extent, &x, &weight, &bias, &background, &window, &mut got);
            for (at, got) in got.iter().enumerate() {
                let (image, pixel, ch) = (at / c / map.area(), at / c % map.area(), at % c);
                let mut want = f64::from(bias[ch]) + f64::from(embedding[pixel * c + ch]);
                for tap in 0..3 * KERNEL * KERNEL {
                    let (plane, i, j) = (tap / KERNEL / KERNEL, tap / KERNEL % KERNEL, tap % KERNEL);
                    let line = (STRIDE * (pixel / map.width) + i).checked_sub(PADDING).filter(|y| *y < height);
                    let column = (STRIDE * (pixel % map.width) + j).checked_sub(PADDING).filter(|x| *x < width);
                    if let (Some(line), Some(column)) = (line, column) {
                        let number = x[((image * 3 + plane) * height + line) * width + column];
                        want += f64::from(number) * f64::from(weight[ch * 3 * KERNEL * KERNEL + tap]);
                    }
                }
                assert!((f64::from(*got) - want).abs() < 2e-5, "{extent:?}, number {at}: {got}, twin {want}");
            }
        }
    }
}
