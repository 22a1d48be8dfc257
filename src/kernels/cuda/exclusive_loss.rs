//! The loss of classes that exclude each other: the launches of `exclusive_loss.cu`.

use super::buffer::{Buffer, Scratch};
use super::error::GpuError;
use super::gpu::Gpu;
use super::loss::weighing;
use super::ptx::{Kernels, args, blocks, kernels};
use super::view::{Slice, SliceMut};
use crate::kernels::exclusive_loss::{ExclusiveLossKernel, IGNORED};
use crate::kernels::extent::Extent;
use crate::kernels::structure_loss::CrossEntropy;

const EXCLUSIVE_LOSS: Kernels = kernels!("exclusive_loss");
/// Pixels that one block sums.
const CHUNK: usize = 8192;
/// Sums of a class of an image.
const SUMS: usize = 5;
/// What a class's gradient is made of.
const FACTORS: usize = 3;

impl ExclusiveLossKernel for Gpu {
    fn exclusive_weights(
        &self,
        plane: Extent,
        classes: usize,
        index: &Buffer,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let n = index.len();
        assert!(classes <= usize::from(IGNORED) && y.len() == n && n.is_multiple_of(plane.area()));
        let [height, width, classes] = [plane.height, plane.width, classes].map(|n| n as i32);
        // SAFETY: index map and result have `n` numbers, whole planes.
        unsafe {
            let args = args![n, height, width, classes, index, &y];
            self.launch_over(n, EXCLUSIVE_LOSS, "exclusive_weights", args)
        }
    }

    fn exclusive_loss(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        index: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let output = Output::new(plane, cross_entropy, [logits, index, weights].map(Slice::from), class_weights);
        output.forward(self, y)
    }

    fn exclusive_loss_backward(
        &self,
        plane: Extent,
        cross_entropy: CrossEntropy,
        logits: &Buffer,
        index: &Buffer,
        weights: &Buffer,
        class_weights: Option<&Buffer>,
        gy: &Buffer,
        gx: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let output = Output::new(plane, cross_entropy, [logits, index, weights].map(Slice::from), class_weights);
        output.backward(self, gy.into(), gx)
    }
}

/// One output's logits `(images, classes, pixels)`, and what they are compared with.
struct Output<'a> {
    images: usize,
    classes: usize,
    pixels: usize,
    /// Whether a pixel's cross-entropy counts by its weight.
    weighted: i32,
    /// Logits, index maps, weights.
    numbers: [Slice<'a>; 3],
    class_weights: Option<&'a Buffer>,
}

/// What a pass over the logits leaves.
struct Passed {
    /// The softmax's, two numbers for each pixel.
    scales: Scratch,
    /// Five doubles for each class of each image.
    totals: Scratch,
}

impl<'a> Output<'a> {
    fn new(
        extent: Extent,
        cross_entropy: CrossEntropy,
        numbers: [Slice<'a>; 3],
        class_weights: Option<&'a Buffer>,
    ) -> Self {
        let ([x, index, weights], pixels) = (numbers.map(Slice::len), extent.area());
        assert!(index > 0 && index.is_multiple_of(pixels) && weights == index && x.is_multiple_of(index));
        let (images, classes) = (index / pixels, x / index);
        assert!(class_weights.is_none_or(|weights| weights.len() == classes));
        let weighted = i32::from(cross_entropy == CrossEntropy::Weighted);
        Self { images, classes, pixels, weighted, numbers, class_weights }
    }

    fn pass(&self, gpu: &Gpu) -> Result<Passed, GpuError> {
        let (n, planes, chunks) = (self.images * self.pixels, self.images * self.classes, self.pixels.div_ceil(CHUNK));
        let (classes, [x, index, weights]) = (self.classes as i32, self.numbers);
        let (scales, totals) = (gpu.scratch(2 * n)?, gpu.scratch(2 * planes * SUMS)?);
        let partial = gpu.scratch(2 * planes * chunks * SUMS)?;
        let grid = [blocks(self.pixels, CHUNK), blocks(self.classes, 1), blocks(self.images, 1)];
        // SAFETY: there are `images` index maps and maps of weights of `pixels` numbers, and logits for each class;
        // `scales` has two numbers for each pixel, `partial` five doubles for each chunk of each class's pixels,
        // `totals` for each class.
        unsafe {
            let args = args![n, self.pixels, classes, x, &scales];
            gpu.launch_over(n, EXCLUSIVE_LOSS, "softmax_scales", args)?;
            let args = args![n, CHUNK, self.pixels, self.weighted, x, index, weights, &scales, &partial];
            gpu.launch(EXCLUSIVE_LOSS, "exclusive_sums", grid, [256, 1, 1], 0, args)?;
            let args = args![planes, chunks, &partial, &totals];
            gpu.launch_over(planes * SUMS, EXCLUSIVE_LOSS, "exclusive_totals", args)?;
        }
        Ok(Passed { scales, totals })
    }

    /// The mean over the images, a single number.
    fn forward(&self, gpu: &Gpu, y: SliceMut<'_>) -> Result<(), GpuError> {
        assert_eq!(y.len(), 1);
        let Passed { totals, .. } = self.pass(gpu)?;
        let (weighing, class_weights) = weighing(self.class_weights, &totals);
        let args = args![self.images, self.classes, weighing, class_weights, &totals, &y];
        // SAFETY: there are five totals for each class of each image, and a weight for each class or none.
        unsafe { gpu.launch(EXCLUSIVE_LOSS, "exclusive_value", [1, 1, 1], [256, 1, 1], 0, args) }
    }

    /// Adds to the gradient of the logits; `gy` is a single number.
    fn backward(&self, gpu: &Gpu, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
        let (n, [x, index, weights]) = (self.images * self.pixels, self.numbers);
        assert!(gy.len() == 1 && gx.len() == x.len());
        let Passed { scales, totals } = self.pass(gpu)?;
        let factors = gpu.scratch(self.images * self.classes * FACTORS)?;
        let (weighing, class_weights) = weighing(self.class_weights, &totals);
        // SAFETY: as above; there are three factors for each class of each image, and the gradient has a number for
        // each logit.
        unsafe {
            let args = args![self.images, self.classes, weighing, class_weights, &totals, gy, &factors];
            gpu.launch_over(self.images, EXCLUSIVE_LOSS, "exclusive_factors", args)?;
            let classes = self.classes as i32;
            let args = args![n, self.pixels, classes, self.weighted, x, index, weights, &scales, &factors, &gx];
            gpu.launch_over(n, EXCLUSIVE_LOSS, "exclusive_backward", args)
        }
    }
}
