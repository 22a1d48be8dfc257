//! Concatenation of four maps along the channels.

use super::device::Device;

/// What a device computes for the concatenation; each map has `c` channels.
pub trait ConcatKernel: Device {
    /// Four maps of `c` channels a pixel to one of `4 c`.
    ///
    /// # Errors
    /// When the device fails.
    fn concat4(&self, c: usize, maps: &[Self::Buffer; 4], y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// Adds to the four gradients.
    ///
    /// # Errors
    /// When the device fails.
    fn concat4_backward(
        &self,
        c: usize,
        gy: &Self::Buffer,
        gradients: [Self::SliceMut<'_>; 4],
    ) -> Result<(), Self::Error>;
}
