//! Resizing of a map of logits to the image's size, channels first.

use super::device::Device;
use super::extent::Extent;

/// The sizes of one resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeSize {
    /// Number of maps.
    pub batch: usize,
    /// Height and width of the map.
    pub from: Extent,
    /// Height and width of the result.
    pub to: Extent,
    /// Classes.
    pub classes: usize,
}

impl ResizeSize {
    /// Number of elements of the map and of the result.
    pub fn lengths(&self) -> [usize; 2] {
        [self.from, self.to].map(|extent| self.batch * self.classes * extent.area())
    }
}

/// What a device computes for a resize.
pub trait ResizeKernel: Device {
    /// `(b, from.height, from.width, k)` to `(b, k, to.height, to.width)`; bilinear, `align_corners=False`.
    ///
    /// # Errors
    /// When the device fails.
    fn resize(&self, size: ResizeSize, x: &Self::Buffer, y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// Adds to the gradient of the input.
    ///
    /// # Errors
    /// When the device fails.
    fn resize_backward(&self, size: ResizeSize, gy: &Self::Buffer, gx: Self::SliceMut<'_>) -> Result<(), Self::Error>;
}
