//! Bilinear interpolation, as PyTorch's `interpolate` defines it: the launches of `resample.cu`.

use super::launch::{Kernels, Stream, args, kernels};
use super::part::{Part, PartMut, add_columns, put_columns};
use crate::nn::ops::resize::ResizeSize;
use crate::nn::ops::up2_concat::JoinSize;
use dfdx::prelude::*;

const RESAMPLE: Kernels = kernels!("resample");

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

    fn forward(&self, stream: &Stream, x: Part<'_>, y: PartMut<'_>) -> Result<(), CudaError> {
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
    fn backward(&self, stream: &Stream, gy: Part<'_>, gx: PartMut<'_>) -> Result<(), CudaError> {
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
pub fn up2_concat(
    stream: &Stream,
    s: JoinSize,
    skip: Part<'_>,
    deep: Part<'_>,
    mut y: PartMut<'_>,
) -> Result<(), CudaError> {
    put_columns(stream, s.skip, skip, [s.skip + s.deep, 0], y.again())?;
    doubled(s).forward(stream, deep, y)
}

/// Adds to the gradients of skip and deep.
pub fn up2_concat_backward(
    stream: &Stream,
    s: JoinSize,
    gy: Part<'_>,
    [skip, deep]: [PartMut<'_>; 2],
) -> Result<(), CudaError> {
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
pub fn resize(stream: &Stream, s: ResizeSize, x: Part<'_>, y: PartMut<'_>) -> Result<(), CudaError> {
    resized(s).forward(stream, x, y)
}

/// Adds to the gradient of [`resize`]'s input.
pub fn resize_backward(stream: &Stream, s: ResizeSize, gy: Part<'_>, gx: PartMut<'_>) -> Result<(), CudaError> {
    resized(s).backward(stream, gy, gx)
}
