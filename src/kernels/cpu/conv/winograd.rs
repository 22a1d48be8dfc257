//! 3x3 convolutions in inference and single precision by minimal filtering, F(2x2, 3x3) of arXiv 1509.09308: a tile of 2x2
//! pixels takes 16 products of channels instead of 36. Pixels of a dilated kernel's tile lie `dilation` apart.

use crate::kernels::conv2d::ConvSize;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue, matrix_product};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::vector::winograd::{transform_input, transform_output};
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;
use rayon::prelude::*;

/// Pixels that a tile reads, and products that it takes: 4x4.
const PRODUCTS: usize = 16;
/// Tiles worked on at once, and channels of them: their transforms stay in the second-level cache.
const TILES: usize = 48;
const CHANNELS: usize = 64;
/// Channels worked on as one.
const VECTOR: usize = 16;

/// A convolution for which this form is faster.
pub struct Winograd<'a> {
    size: &'a ConvSize,
}

/// The output pixel `(y, x)` that a tile begins at.
type Corner = [usize; 2];

impl<'a> Winograd<'a> {
    /// `None` for a kernel of another shape or precision, for channels that fill no vectors, and where tiles cover
    /// more pixels than they save.
    pub fn of(size: &'a ConvSize) -> Option<Self> {
        let fits = size.kernel == [3, 3]
            && Packed::computed_in(size.precision) == Precision::F32
            && size.channels.is_multiple_of(VECTOR)
            && size.out_channels.is_multiple_of(VECTOR);
        let winograd = Self { size };
        let Extent { height, width } = size.map;
        let tiles = winograd.starts(height).len() * winograd.starts(width).len();
        // the transforms cost about a quarter of the products; several bands, for several threads
        let worth = 5 * PRODUCTS * tiles < 4 * 9 * size.map.area() && height.min(width) >= 4 * size.dilation;
        (fits && worth).then_some(winograd)
    }

    /// Where tiles begin along one side, for the first `side` pixels of it.
    fn starts(&self, side: usize) -> Vec<usize> {
        let d = self.size.dilation;
        (0..side).filter(|at| (at / d).is_multiple_of(2)).collect()
    }

    /// The products' right operands, each `(c, co)`: `G g G^T` of every pair of channels.
    pub fn factors(&self, weight: &[f32]) -> Vec<Packed> {
        let c = self.size.channels;
        let mut transformed = Buffer::new(PRODUCTS * weight.len() / 9);
        // by output, then product, then input
        let outputs =
            transformed.par_chunks_exact_mut(PRODUCTS * c).zip(weight.par_chunks_exact(9 * c)).with_min_len(16);
        outputs.for_each(|(transformed, weight)| {
            for (at, g) in weight.as_chunks::<9>().0.iter().enumerate() {
                let rows: [[f32; 4]; 3] =
                    std::array::from_fn(|r| ends_and_halves([g[3 * r], g[3 * r + 1], g[3 * r + 2]]));
                for column in 0..4 {
                    let values = ends_and_halves([rows[0][column], rows[1][column], rows[2][column]]);
                    for (row, value) in values.into_iter().enumerate() {
                        transformed[(row * 4 + column) * c + at] = value;
                    }
                }
            }
        });
        let pack = |product: usize| {
            let columns: Vec<&[f32]> = transformed.chunks_exact(c).skip(product).step_by(PRODUCTS).collect();
            let mut factor = Packed::default();
            factor.set_columns(c, &columns);
            factor
        };
        (0..PRODUCTS).into_par_iter().map(pack).collect()
    }

    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub fn forward(&self, x: &[f32], factors: &[Packed], bias: &[f32], relu: bool, y: &mut [f32]) {
        let ConvSize { map: Extent { height, width }, channels, out_channels, dilation, .. } = *self.size;
        assert_eq!(factors.len(), PRODUCTS, "a factor for each product");
        // Bands of lines that whole tiles cover.
        let band = 2 * dilation * width * out_channels;
        let maps = y.par_chunks_mut(height * width * out_channels).zip(x.par_chunks(height * width * channels));
        maps.for_each(|(y, x)| {
            y.par_chunks_mut(band).enumerate().for_each(|(i, y)| {
                let first = 2 * dilation * i;
                let columns = self.starts(width);
                let lines = dilation.min(height - first);
                let corners: Vec<Corner> =
                    (first..first + lines).flat_map(|y| columns.iter().map(move |x| [y, *x])).collect();
                for corners in corners.chunks(TILES) {
                    self.tiles(x, factors, corners, (bias, relu), (first, &mut *y));
                }
            });
        });
    }

    /// Computes some tiles of a map, whose lines from `first` on are `y`.
    fn tiles(
        &self,
        x: &[f32],
        factors: &[Packed],
        corners: &[Corner],
        (bias, relu): (&[f32], bool),
        (first, y): (usize, &mut [f32]),
    ) {
        let ConvSize { map: Extent { height, width }, channels, out_channels, dilation, .. } = *self.size;
        let zeros = [0.0; CHANNELS];
        let mut products = Buffer::new(PRODUCTS * corners.len() * out_channels);
        for from in (0..channels).step_by(CHANNELS) {
            let here = CHANNELS.min(channels - from);
            let mut inputs = Buffer::new(PRODUCTS * corners.len() * here);
            let plane = corners.len() * here;
            for (t, corner) in corners.iter().enumerate() {
                // a tile reads the lines and columns one step before its own to one step after
                let along = |start: usize, length: usize| {
                    let at = |i: usize| (start + i * dilation).checked_sub(dilation).filter(|p| *p < length);
                    std::array::from_fn::<_, 4, _>(at)
                };
                let (lines, columns) = (along(corner[0], height), along(corner[1], width));
                let mut pixels = [&zeros[..here]; PRODUCTS];
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    if let (Some(y), Some(x0)) = (lines[i / 4], columns[i % 4]) {
                        *pixel = &x[(y * width + x0) * channels + from..][..here];
                    }
                }
                transform_input(&pixels, plane, &mut inputs[t * here..]);
            }
            let onto = if from == 0 { Accumulate::Overwrite } else { Accumulate::Add };
            let pairs = inputs.chunks_exact(plane).zip(products.chunks_exact_mut(corners.len() * out_channels));
            for ((inputs, products), factor) in pairs.zip(factors) {
                matrix_product(inputs, here, factor, from, onto, Epilogue::None, products);
            }
        }
        let mut four = Buffer::new(4 * out_channels);
        for (t, [ty, tx]) in corners.iter().enumerate() {
            transform_output(&products[t * out_channels..], corners.len() * out_channels, bias, relu, &mut four);
            for (i, pixel) in four.chunks_exact(out_channels).enumerate() {
                let (row, column) = (ty + i / 2 * dilation, tx + i % 2 * dilation);
                if row < height && column < width {
                    y[((row - first) * width + column) * out_channels..][..out_channels].copy_from_slice(pixel);
                }
            }
        }
    }
}

/// A row of `G` with three numbers: the first, the halves of their sums with the second added and taken away, the last.
fn ends_and_halves([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation.
    fn direct(s: &ConvSize, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let [height, width, d] = [s.map.height, s.map.width, s.dilation].map(|v| v as isize);
        let (c, co) = (s.channels, s.out_channels);
        let mut y = Vec::new();
        for map in 0..s.batch as isize {
            for (py, px) in (0..height).flat_map(|py| (0..width).map(move |px| (py, px))) {
                for o in 0..co {
                    let mut sum = f64::from(bias[o]);
                    for tap in 0..9 {
                        let (yy, xx) = (py + d * (tap / 3 - 1), px + d * (tap % 3 - 1));
                        if (0..height).contains(&yy) && (0..width).contains(&xx) {
                            let pixel = &x[(((map * height + yy) * width + xx) as usize) * c..][..c];
                            for (ch, v) in pixel.iter().enumerate() {
                                sum += f64::from(*v) * f64::from(weight[(o * c + ch) * 9 + tap as usize]);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }

    #[test]
    fn tiles_agree_with_the_plain_twin_at_every_size() {
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed) % 1000) as f32 / 500.0 - 1.0).collect()
        };
        let square = [(1, 8, 16, 16, 1), (2, 11, 80, 16, 1), (1, 7, 16, 48, 1), (1, 19, 16, 16, 3), (2, 24, 32, 16, 5)];
        let square = square.map(|(batch, side, c, co, dilation)| (batch, Extent::square(side), c, co, dilation));
        let other = [(2, 9, 14, 1), (1, 14, 9, 1), (1, 20, 11, 2), (2, 11, 20, 2)];
        let other = other.map(|(batch, height, width, dilation)| (batch, Extent { height, width }, 16, 32, dilation));
        for (batch, extent, c, co, dilation) in square.into_iter().chain(other) {
            let size = ConvSize {
                batch,
                map: extent,
                channels: c,
                out_channels: co,
                kernel: [3, 3],
                dilation,
                precision: Precision::F32,
            };
            let (x, weight, bias) = (numbers(batch * extent.area() * c, 1), numbers(co * c * 9, 2), numbers(co, 3));
            let want = direct(&size, &x, &weight, &bias);
            for relu in [false, true] {
                let mut y = vec![f32::NAN; want.len()];
                let winograd = Winograd::of(&size).expect("a size worth it");
                winograd.forward(&x, &winograd.factors(&weight), &bias, relu, &mut y);
                for (i, (y, w)) in y.iter().zip(&want).enumerate() {
                    let w = if relu { w.max(0.0) } else { *w };
                    assert!((f64::from(*y) - w).abs() < 2e-5, "{size:?} {i}: {y} {w}");
                }
            }
        }
    }

    #[test]
    fn small_maps_of_wide_kernels_are_left_alone() {
        let size = |side, dilation, precision| ConvSize {
            batch: 1,
            map: Extent::square(side),
            channels: 64,
            out_channels: 64,
            kernel: [3, 3],
            dilation,
            precision,
        };
        assert!(Winograd::of(&size(88, 7, Precision::F32)).is_some());
        assert!(Winograd::of(&size(11, 7, Precision::F32)).is_none());
        let in_bf16 = Packed::computed_in(Precision::Bf16) == Precision::Bf16;
        assert_eq!(Winograd::of(&size(88, 1, Precision::Bf16)).is_none(), in_bf16);
    }
}
