//! One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) on one weight.

use super::device::Device;

/// The scalar factors of one step, for all weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// What the decay leaves of a weight.
    pub keep: f32,
    /// The share of the gradient in the first moment.
    pub first_new: f32,
    /// What is left of the second moment.
    pub second_keep: f32,
    /// The share of the squared gradient in it.
    pub second_new: f32,
    /// The square root of the second moment's bias correction.
    pub second_scale: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// Learning rate over the first moment's bias correction.
    pub step_size: f32,
}

/// What a device computes for a step.
pub trait AdamWKernel: Device {
    /// Writes the new `weight` and changes the moments, number by number:
    ///
    /// ```text
    /// m += first_new (g - m)
    /// v  = second_keep v + second_new g^2
    /// w  = keep old - step_size m / (sqrt(v) / second_scale + epsilon)
    /// ```
    ///
    /// # Errors
    /// The device's.
    fn adamw(
        &self,
        step: &AdamWStep,
        old: &Self::Buffer,
        gradient: &Self::Buffer,
        moments: [Self::SliceMut<'_>; 2],
        weight: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
