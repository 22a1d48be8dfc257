//! A map at the image's size, channels first.

use super::device::Device;
use super::extent::Extent;

/// The sizes of one resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeSize {
    /// Maps.
    pub batch: usize,
    /// Height and width of the map.
    pub from: Extent,
    /// Height and width of the result.
    pub to: Extent,
    /// Classes.
    pub classes: usize,
}

impl ResizeSize {
    /// How many numbers the map and the result have.
    pub fn lengths(&self) -> [usize; 2] {
        [self.from, self.to].map(|extent| self.batch * self.classes * extent.area())
    }
}

/// What a device computes for a resize.
pub trait ResizeKernel: Device {
    /// `(b, from.height, from.width, k)` to `(b, k, to.height, to.width)`; bilinear, edges on edges (`align_corners=False`).
    ///
    /// # Errors
    /// The device's.
    fn resize(&self, size: ResizeSize, x: &Self::Buffer, y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// Adds to the gradient of the input.
    ///
    /// # Errors
    /// The device's.
    fn resize_backward(&self, size: ResizeSize, gy: &Self::Buffer, gx: Self::SliceMut<'_>) -> Result<(), Self::Error>;
}
