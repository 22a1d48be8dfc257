//! The join of a decoder step: the deep map is upsampled to twice its size and concatenated to the skip.

use super::device::Device;
use super::extent::Extent;

/// The sizes of one join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinSize {
    /// Number of maps.
    pub batch: usize,
    /// Height and width of the skip, both even; the deep map has half of each.
    pub map: Extent,
    /// Channels of the skip.
    pub skip: usize,
    /// Channels of the deep map.
    pub deep: usize,
}

impl JoinSize {
    /// Number of elements of skip, deep map and result.
    pub fn lengths(&self) -> [usize; 3] {
        let pixels = self.batch * self.map.area();
        [pixels * self.skip, self.batch * self.map.halved().area() * self.deep, pixels * (self.skip + self.deep)]
    }
}

/// What a device computes for the join.
pub trait Up2ConcatKernel: Device {
    /// `[skip, upsampled deep map]` along the channels; bilinear, `align_corners=True`.
    ///
    /// # Errors
    /// When the device fails.
    fn up2_concat(
        &self,
        size: JoinSize,
        skip: &Self::Buffer,
        deep: &Self::Buffer,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradients of skip and deep.
    ///
    /// # Errors
    /// When the device fails.
    fn up2_concat_backward(
        &self,
        size: JoinSize,
        gy: &Self::Buffer,
        gradients: [Self::SliceMut<'_>; 2],
    ) -> Result<(), Self::Error>;
}
