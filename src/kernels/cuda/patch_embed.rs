//! The frozen stem: a 7x7 convolution with stride 4 and padding 3, plus the positional embedding.

use super::buffer::{Buffer, Operand};
use super::error::GpuError;
use super::gpu::Gpu;
use super::linear::linear;
use super::ptx::{Kernels, args, kernels};
use super::view::{Slice, SliceMut};
use crate::kernels::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use std::sync::Arc;

const PATCH_EMBED: Kernels = kernels!("patch_embed");
/// Numbers of the image that a pixel of the map depends on: 7x7 in three planes.
const TAPS: usize = 3 * 7 * 7;
/// Numbers laid out at once, at most.
const PATCH_NUMBERS: usize = 1 << 24;

impl PatchEmbedKernel for Gpu {
    fn patch_embed(
        &self,
        size: StemSize,
        x: &Buffer,
        w: StemWeights<'_, Arc<Operand>>,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let weights = [w.weight, w.bias, w.background, w.window].map(Slice::from);
        forward(self, size, x.into(), weights, y)
    }
}

/// Images `(b, 3, height, width)` to maps `(b, height/4, width/4, c)`; weight `(c, 3, 7, 7)`, bias
/// `(c)`, background `(c, bg, bg)`, window `(c, w, w)`.
pub fn forward(
    gpu: &Gpu,
    StemSize { batch, image, channels }: StemSize,
    x: Slice<'_>,
    [weight, bias, background, window]: [Slice<'_>; 4],
    mut y: SliceMut<'_>,
) -> Result<(), GpuError> {
    let (map, c) = (image.quarter(), channels);
    let pixels = batch * map.area();
    assert!(x.len() == batch * 3 * image.area() && y.len() == pixels * c && bias.len() == c);
    let [height, width] = [image.height, image.width].map(|n| n as i32);
    let each = PATCH_NUMBERS / TAPS;
    for first in (0..pixels).step_by(each) {
        let count = each.min(pixels - first);
        let patches = gpu.scratch(count * TAPS)?;
        let args = args![first, count, height, width, x, &patches];
        // SAFETY: `x` are the images, of which the map's pixels `first..first + count` are some.
        unsafe { gpu.launch_over(count * TAPS, PATCH_EMBED, "stem_gather", args) }?;
        let (rows, weight) = (Slice::from(&patches).exact(), weight.exact());
        linear(gpu, [count, TAPS, c], rows, weight, 0.0, y.at(first * c, count * c))?;
    }
    let (bg, w) = (side_of(background, c), side_of(window, c));
    let numbers = map.area() * c;
    let embedding = gpu.scratch(numbers)?;
    let [height, width, channels, bg, w] = [map.height, map.width, c, bg, w].map(|n| n as i32);
    let args = args![height, width, channels, bg, w, background, window, bias, &embedding];
    // SAFETY: both embeddings hold squares for `c` channels, the bias `c` numbers, the result one map.
    unsafe { gpu.launch_over(numbers, PATCH_EMBED, "position", args) }?;
    // SAFETY: `y` has whole maps of `numbers` numbers.
    unsafe { gpu.launch_over(y.len(), PATCH_EMBED, "add_to_maps", args![y.len(), numbers, &embedding, &y]) }
}

/// The side of `c` squares.
fn side_of(squares: Slice<'_>, c: usize) -> usize {
    let side = (squares.len() / c).isqrt();
    assert_eq!(side * side * c, squares.len(), "squares for each channel");
    side
}
