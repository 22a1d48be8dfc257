//! One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) on one weight.

use super::device::Device;

/// The scalar factors of one step, for all weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Factor of the old weight: `1 - learning rate * weight decay`.
    pub keep: f32,
    /// Factor of the gradient in the first moment: `1 - beta1`.
    pub first_new: f32,
    /// Factor of the old second moment: `beta2`.
    pub second_keep: f32,
    /// Factor of the squared gradient in the second moment: `1 - beta2`.
    pub second_new: f32,
    /// Square root of the second moment's bias correction `1 - beta2^t`.
    pub second_scale: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// Learning rate over the first moment's bias correction `1 - beta1^t`.
    pub step_size: f32,
}

/// What a device computes for a step.
pub trait AdamWKernel: Device {
    /// Writes the new `weight` and updates the moments `[m, v]`, element by element:
    ///
    /// ```text
    /// m += first_new (g - m)
    /// v  = second_keep v + second_new g^2
    /// w  = keep old - step_size m / (sqrt(v) / second_scale + epsilon)
    /// ```
    ///
    /// # Errors
    /// When the device fails.
    fn adamw(
        &self,
        step: &AdamWStep,
        old: &Self::Buffer,
        gradient: &Self::Buffer,
        moments: [Self::SliceMut<'_>; 2],
        weight: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
