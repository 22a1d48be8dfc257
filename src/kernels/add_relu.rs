//! Sum of two maps, then a ReLU.

use super::device::Device;

/// What a device computes for `max(a + b, 0)`.
pub trait AddReluKernel: Device {
    /// `y = max(a + b, 0)`.
    ///
    /// # Errors
    /// When the device fails.
    fn add_relu(&self, a: &Self::Buffer, b: &Self::Buffer, y: Self::SliceMut<'_>) -> Result<(), Self::Error>;

    /// Adds `gy` to both gradients where `y` is positive.
    ///
    /// # Errors
    /// When the device fails.
    fn add_relu_backward(
        &self,
        y: &Self::Buffer,
        gy: &Self::Buffer,
        gradients: [Self::SliceMut<'_>; 2],
    ) -> Result<(), Self::Error>;
}
