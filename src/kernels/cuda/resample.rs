//! Bilinear interpolation, as PyTorch's `interpolate` defines it: the launches of `resample.cu`.

use super::address;
use super::buffer::Buffer;
use super::columns::{add_columns, put_columns};
use super::error::GpuError;
use super::ptx::{Kernels, args, kernels};
use super::stream::Stream;
use super::view::{Slice, SliceMut};
use crate::nn::ops::resize::{ResizeKernel, ResizeSize};
use crate::nn::ops::up2_concat::{JoinSize, Up2ConcatKernel};
use dfdx::prelude::{Cuda, CudaError};

const RESAMPLE: Kernels = kernels!("resample");

impl Up2ConcatKernel for Cuda {
    fn up2_concat(&self, size: JoinSize, skip: &Buffer, deep: &Buffer, y: SliceMut<'_>) -> Result<(), CudaError> {
        Ok(up2_concat(&address::stream(self)?, size, skip.into(), deep.into(), y)?)
    }

    fn up2_concat_backward(&self, size: JoinSize, gy: &Buffer, gradients: [SliceMut<'_>; 2]) -> Result<(), CudaError> {
        Ok(up2_concat_backward(&address::stream(self)?, size, gy.into(), gradients)?)
    }
}

impl ResizeKernel for Cuda {
    fn resize(&self, size: ResizeSize, x: &Buffer, y: SliceMut<'_>) -> Result<(), CudaError> {
        Ok(resize(&address::stream(self)?, size, x.into(), y)?)
    }

    fn resize_backward(&self, size: ResizeSize, gy: &Buffer, gx: SliceMut<'_>) -> Result<(), CudaError> {
        Ok(resize_backward(&address::stream(self)?, size, gy.into(), gx)?)
    }
}

/// Maps `(images, from, from, groups, channels)` enlarged to `(images, groups, to, to, width)`, of which the channels
/// from `offset` on are theirs.
struct Enlarge {
    images: usize,
    groups: usize,
    channels: usize,
    from: usize,
    to: usize,
    /// Corners on corners (`align_corners=True`), else edges on edges.
    corners: bool,
    width: usize,
    offset: usize,
}

impl Enlarge {
    fn check(&self, small: usize, large: usize) {
        assert_eq!(small, self.images * self.from * self.from * self.groups * self.channels);
        assert_eq!(large, self.images * self.groups * self.to * self.to * self.width);
        assert!(self.offset + self.channels <= self.width);
    }

    fn forward(&self, stream: &Stream, x: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
        self.check(x.len(), y.len());
        let [k, c, from, to, corners, width, offset] = self.numbers();
        let n = self.images * self.groups * self.to * self.to * self.channels;
        // SAFETY: both lengths are checked.
        unsafe {
            let args = args![self.images, k, c, from, to, corners, x, width, offset, &y];
            stream.launch_over(n, RESAMPLE, "bilinear", args)
        }
    }

    /// Adds to the gradient of the input: first along rows, then along columns.
    fn backward(&self, stream: &Stream, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
        self.check(gx.len(), gy.len());
        let [k, c, from, to, corners, width, offset] = self.numbers();
        let lines = self.images * self.groups * self.to;
        let narrow = stream.uninit(lines * self.from * self.channels)?;
        // SAFETY: both lengths are checked; `narrow` has `from` times the channels for each line of `gy`.
        unsafe {
            let args = args![lines, c, from, to, corners, gy, width, offset, &narrow];
            stream.launch_over(narrow.len(), RESAMPLE, "bilinear_backward_columns", args)?;
            let args = args![self.images, k, c, from, to, corners, &narrow, &gx];
            stream.launch_over(gx.len(), RESAMPLE, "bilinear_backward_rows", args)
        }
    }

    fn numbers(&self) -> [i32; 7] {
        let corners = usize::from(self.corners);
        [self.groups, self.channels, self.from, self.to, corners, self.width, self.offset].map(|n| n as i32)
    }
}

/// The deep map's way into a join.
fn doubled(s: JoinSize) -> Enlarge {
    Enlarge {
        images: s.batch,
        groups: 1,
        channels: s.deep,
        from: s.side / 2,
        to: s.side,
        corners: true,
        width: s.skip + s.deep,
        offset: s.skip,
    }
}

/// `[skip, deep doubled]` along the channels.
fn up2_concat(
    stream: &Stream,
    s: JoinSize,
    skip: Slice<'_>,
    deep: Slice<'_>,
    mut y: SliceMut<'_>,
) -> Result<(), GpuError> {
    put_columns(stream, s.skip, skip, [s.skip + s.deep, 0], y.reborrow())?;
    doubled(s).forward(stream, deep, y)
}

/// Adds to the gradients of skip and deep.
fn up2_concat_backward(
    stream: &Stream,
    s: JoinSize,
    gy: Slice<'_>,
    [skip, deep]: [SliceMut<'_>; 2],
) -> Result<(), GpuError> {
    add_columns(stream, s.skip, gy, [s.skip + s.deep, 0], skip)?;
    doubled(s).backward(stream, gy, deep)
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
        width: 1,
        offset: 0,
    }
}

/// `(b, from, from, k)` to `(b, k, to, to)`.
fn resize(stream: &Stream, s: ResizeSize, x: Slice<'_>, y: SliceMut<'_>) -> Result<(), GpuError> {
    resized(s).forward(stream, x, y)
}

/// Adds to the gradient of [`resize`]'s input.
fn resize_backward(stream: &Stream, s: ResizeSize, gy: Slice<'_>, gx: SliceMut<'_>) -> Result<(), GpuError> {
    resized(s).backward(stream, gy, gx)
}
