//! Weighted cross-entropy plus weighted IoU over planes of logits: the launches of `loss.cu`.

use super::buffer::{Buffer, Scratch};
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Kernels, args, blocks, kernels};
use super::view::{Slice, SliceMut};
use crate::kernels::extent::Extent;
use crate::kernels::structure_loss::{CrossEntropy, StructureLossKernel};

const LOSS: Kernels = kernels!("loss");
/// Pixels that one block sums.
const CHUNK: usize = 8192;

impl StructureLossKernel for Gpu {
    fn loss_weights(
        &self,
        plane: Extent,
        mask: &Buffer,
        known: Option<&Buffer>,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        weights(self, plane, mask.into(), known.map(Slice::from), y)
    }

    fn structure_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let planes = Planes::new(plane, cross_entropy, [logits, mask, weights].map(Slice::from), class_weights);
        planes.forward(self, y)
    }

    fn structure_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        mask: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        gy: &Buffer,
        gx: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let planes = Planes::new(plane, cross_entropy, [logits, mask, weights].map(Slice::from), class_weights);
        planes.backward(self, gy.into(), gx)
    }
}

/// `1 + 5 |box mean - mask|` of planes; padding counts as zeros in the mean. Where `known` is 0, the weight is, and the
/// pixel counts in no mean.
pub fn weights(
    gpu: &Gpu,
    extent: Extent,
    mask: Slice<'_>,
    known: Option<Slice<'_>>,
    y: SliceMut<'_>,
) -> Result<(), GpuError> {
    let (n, pixels) = (mask.len(), extent.area());
    assert!(y.len() == n && n.is_multiple_of(pixels));
    let [height, width] = [extent.height, extent.width].map(|n| n as i32);
    let Some(known) = known else {
        let rows = gpu.scratch(2 * n)?; // in double precision
        // SAFETY: mask and result have `n` numbers, whole planes; `rows` as many doubles.
        return unsafe {
            gpu.launch_over(n, LOSS, "box_rows", args![n, width, mask, &rows])?;
            gpu.launch_over(n, LOSS, "box_weights", args![n, height, width, mask, &rows, &y])
        };
    };
    assert!(known.len().is_multiple_of(pixels) && n.is_multiple_of(known.len()));
    let (rows, sharing) = (gpu.scratch(4 * n)?, n / known.len());
    // SAFETY: as above, with two doubles for each number; `known` has a plane for each `sharing` planes of the mask.
    unsafe {
        let args = args![n, pixels, sharing, width, mask, known, &rows];
        gpu.launch_over(n, LOSS, "box_rows_known", args)?;
        let args = args![n, pixels, sharing, height, width, mask, known, &rows, &y];
        gpu.launch_over(n, LOSS, "box_weights_known", args)
    }
}

/// Class weights as kernels take them: how many, and their address. Without any there are none, and the address is one
/// that is not read.
pub fn weighing(class_weights: Option<&Buffer>, otherwise: &Scratch) -> (usize, u64) {
    class_weights.map_or((0, otherwise.address()), |weights| (weights.len(), weights.address()))
}

/// Logits, masks and weights, as planes of `pixels` numbers.
struct Planes<'a> {
    pixels: usize,
    /// Whether a pixel's cross-entropy counts by its weight.
    weighted: i32,
    /// Logits, mask, weights.
    numbers: [Slice<'a>; 3],
    class_weights: Option<&'a Buffer>,
}

impl<'a> Planes<'a> {
    fn new(
        extent: Extent,
        cross_entropy: CrossEntropy,
        numbers: [Slice<'a>; 3],
        class_weights: Option<&'a Buffer>,
    ) -> Self {
        let (pixels, n) = (extent.area(), numbers[0].len());
        assert!(n > 0 && n.is_multiple_of(pixels) && numbers.iter().all(|part| part.len() == n));
        let classes = class_weights.map_or(1, Buffer::len);
        assert!(classes > 0 && (n / pixels).is_multiple_of(classes));
        Self { pixels, weighted: i32::from(cross_entropy == CrossEntropy::Weighted), numbers, class_weights }
    }

    fn count(&self) -> usize {
        self.numbers[0].len() / self.pixels
    }

    /// The four sums over each plane, in double precision.
    fn totals(&self, gpu: &Gpu) -> Result<Scratch, GpuError> {
        let (planes, chunks, [x, mask, weight]) = (self.count(), self.pixels.div_ceil(CHUNK), self.numbers);
        let (partial, totals) = (gpu.scratch(2 * planes * chunks * 4)?, gpu.scratch(2 * planes * 4)?);
        let grid = [blocks(self.pixels, CHUNK), blocks(planes, 1), 1];
        // SAFETY: the three have `planes` planes of `pixels` numbers; `partial` has four doubles for each of their
        // chunks, `totals` for each plane.
        unsafe {
            let args = args![CHUNK, self.pixels, self.weighted, x, mask, weight, &partial];
            gpu.launch(LOSS, "loss_sums", grid, [256, 1, 1], 0, args)?;
            gpu.launch_over(planes * 4, LOSS, "loss_totals", args![planes, chunks, &partial, &totals])?;
        }
        Ok(totals)
    }

    /// The mean over the planes, a single number.
    fn forward(&self, gpu: &Gpu, y: SliceMut<'_>) -> Result<(), GpuError> {
        assert_eq!(y.len(), 1);
        let totals = self.totals(gpu)?;
        let (classes, class_weights) = weighing(self.class_weights, &totals);
        let args = args![self.count(), classes, class_weights, &totals, &y];
        // SAFETY: there are four totals for each plane, and a weight for each class.
        unsafe { gpu.launch(LOSS, "loss_value", [1, 1, 1], [1, 1, 1], 0, args) }
    }

    /// Adds to the gradient of the logits; `gy` is a single number.
    fn backward(&self, gpu: &Gpu, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
        let (n, planes, [x, mask, weight]) = (gx.len(), self.count(), self.numbers);
        assert!(gy.len() == 1 && n == x.len());
        let (totals, factors) = (self.totals(gpu)?, gpu.scratch(planes * 3)?);
        let (classes, class_weights) = weighing(self.class_weights, &totals);
        // SAFETY: there are four totals and three factors for each plane, and a weight for each class; the gradient has
        // a number for each logit.
        unsafe {
            let args = args![planes, classes, class_weights, &totals, gy, &factors];
            gpu.launch_over(planes, LOSS, "loss_factors", args)?;
            let args = args![n, self.pixels, self.weighted, x, mask, weight, &factors, &gx];
            gpu.launch_over(n, LOSS, "loss_backward", args)
        }
    }
}
