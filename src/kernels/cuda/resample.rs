//! Bilinear interpolation, as PyTorch's `interpolate` defines it: the launches of `resample.cu`.

use super::buffer::Buffer;
use super::columns::{add_columns, put_columns};
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Kernels, args, kernels};
use super::view::{Slice, SliceMut};
use crate::kernels::extent::Extent;
use crate::kernels::resize::{ResizeKernel, ResizeSize};
use crate::kernels::up2_concat::{JoinSize, Up2ConcatKernel};

const RESAMPLE: Kernels = kernels!("resample");

impl Up2ConcatKernel for Gpu {
    fn up2_concat(&self, size: JoinSize, skip: &Buffer, deep: &Buffer, y: SliceMut<'_>) -> Result<(), GpuError> {
        up2_concat(self, size, skip.into(), deep.into(), y)
    }

    fn up2_concat_backward(&self, size: JoinSize, gy: &Buffer, gradients: [SliceMut<'_>; 2]) -> Result<(), GpuError> {
        up2_concat_backward(self, size, gy.into(), gradients)
    }
}

impl ResizeKernel for Gpu {
    fn resize(&self, size: ResizeSize, x: &Buffer, y: SliceMut<'_>) -> Result<(), GpuError> {
        resize(self, size, x.into(), y)
    }

    fn resize_backward(&self, size: ResizeSize, gy: &Buffer, gx: SliceMut<'_>) -> Result<(), GpuError> {
        resize_backward(self, size, gy.into(), gx)
    }
}

/// Maps `(images, from.height, from.width, groups, channels)` enlarged to `(images, groups, to.height, to.width, row)`: the
/// channels from `offset` on of each row are theirs.
pub struct Enlarge {
    pub images: usize,
    pub groups: usize,
    pub channels: usize,
    pub from: Extent,
    pub to: Extent,
    /// Whether corners are aligned: PyTorch's `align_corners`.
    pub corners: bool,
    /// Channels of a pixel of the result.
    pub row: usize,
    pub offset: usize,
}

impl Enlarge {
    fn check(&self, small: usize, large: usize) {
        assert_eq!(small, self.images * self.from.area() * self.groups * self.channels);
        assert_eq!(large, self.images * self.groups * self.to.area() * self.row);
        assert!(self.offset + self.channels <= self.row);
    }

    pub fn forward(&self, gpu: &Gpu, x: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
        self.check(x.len(), y.len());
        let [k, c, corners, row, offset] = self.numbers();
        let ([from_height, from_width], [to_height, to_width]) = self.extents();
        let n = self.images * self.groups * self.to.area() * self.channels;
        // SAFETY: both lengths are checked.
        unsafe {
            let args =
                args![self.images, k, c, from_height, from_width, to_height, to_width, corners, x, row, offset, &y];
            gpu.launch_over(n, RESAMPLE, "bilinear", args)
        }
    }

    /// Adds to the gradient of the input: first along rows, then along columns.
    pub fn backward(&self, gpu: &Gpu, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
        self.check(gx.len(), gy.len());
        let [k, c, corners, row, offset] = self.numbers();
        let ([from_height, from_width], [to_height, to_width]) = self.extents();
        let lines = self.images * self.groups * self.to.height;
        let narrow = gpu.scratch(lines * self.from.width * self.channels)?;
        // SAFETY: both lengths are checked; `narrow` has the channels of `from.width` pixels for each line of `gy`.
        unsafe {
            let args = args![lines, c, from_width, to_width, corners, gy, row, offset, &narrow];
            gpu.launch_over(narrow.len(), RESAMPLE, "bilinear_backward_columns", args)?;
            let args = args![self.images, k, c, from_height, to_height, from_width, corners, &narrow, &gx];
            gpu.launch_over(gx.len(), RESAMPLE, "bilinear_backward_rows", args)
        }
    }

    fn numbers(&self) -> [i32; 5] {
        [self.groups, self.channels, usize::from(self.corners), self.row, self.offset].map(|n| n as i32)
    }

    /// Height and width of `from` and of `to`.
    fn extents(&self) -> ([i32; 2], [i32; 2]) {
        let pair = |extent: Extent| [extent.height as i32, extent.width as i32];
        (pair(self.from), pair(self.to))
    }
}

/// The upsampling of a join's deep map.
fn doubled(s: JoinSize) -> Enlarge {
    Enlarge {
        images: s.batch,
        groups: 1,
        channels: s.deep,
        from: s.map.halved(),
        to: s.map,
        corners: true,
        row: s.skip + s.deep,
        offset: s.skip,
    }
}

/// `[skip, upsampled deep map]` along the channels.
fn up2_concat(gpu: &Gpu, s: JoinSize, skip: Slice<'_>, deep: Slice<'_>, mut y: SliceMut<'_>) -> Result<(), GpuError> {
    put_columns(gpu, s.skip, skip, [s.skip + s.deep, 0], y.reborrow())?;
    doubled(s).forward(gpu, deep, y)
}

/// Adds to the gradients of skip and deep.
fn up2_concat_backward(gpu: &Gpu, s: JoinSize, gy: Slice<'_>, [skip, deep]: [SliceMut<'_>; 2]) -> Result<(), GpuError> {
    add_columns(gpu, s.skip, gy, [s.skip + s.deep, 0], skip)?;
    doubled(s).backward(gpu, gy, deep)
}

/// A head's map with its classes as maps of their own.
fn resized(s: ResizeSize) -> Enlarge {
    Enlarge {
        images: s.batch,
        groups: s.classes,
        channels: 1,
        from: s.from,
        to: s.to,
        corners: false,
        row: 1,
        offset: 0,
    }
}

/// `(b, from, from, k)` to `(b, k, to, to)`.
fn resize(gpu: &Gpu, s: ResizeSize, x: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
    resized(s).forward(gpu, x, y)
}

/// Adds to the gradient of [`resize`]'s input.
fn resize_backward(gpu: &Gpu, s: ResizeSize, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
    resized(s).backward(gpu, gy, gx)
}
