//! Four maps, side by side along the channels.

use super::device::Device;

/// What a device computes to put four maps side by side; `c` channels in each map.
pub trait ConcatKernel: Device {
    /// Rows of `c` numbers to rows of `4 c`.
    ///
    /// # Errors
    /// The device's.
    fn concat4(&self, c: usize, maps: &[Self::Buffer; 4], y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// Adds to the four gradients.
    ///
    /// # Errors
    /// The device's.
    fn concat4_backward(
        &self,
        c: usize,
        gy: &Self::Buffer,
        gradients: [Self::SliceMut<'_>; 4],
    ) -> Result<(), Self::Error>;
}
