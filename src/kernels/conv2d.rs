//! Two-dimensional convolution with any odd kernel and dilation, stride 1, "same" padding, alone or with a batch norm.

use super::device::Device;
use super::extent::Extent;
use super::precision::Precision;
use std::fmt::Debug;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSize {
    /// Maps.
    pub batch: usize,
    /// Height and width of the maps, before and after.
    pub map: Extent,
    /// Channels that come in.
    pub channels: usize,
    /// Channels that go out.
    pub out_channels: usize,
    /// Height and width of the kernel, both odd.
    pub kernel: [usize; 2],
    /// Distance between neighbouring taps.
    pub dilation: usize,
    /// What the products are computed in.
    pub precision: Precision,
}

impl ConvSize {
    /// How many numbers the maps that come in and go out have.
    pub fn lengths(&self) -> [usize; 2] {
        [self.channels, self.out_channels].map(|channels| self.batch * self.map.area() * channels)
    }
}

/// What a device computes for a convolution.
pub trait Conv2dKernel: Device {
    /// Maps `(b, h, w, c)` to `(b, h, w, co)`; weight `(co, c, kh, kw)`.
    ///
    /// # Errors
    /// The device's.
    fn conv2d(
        &self,
        size: ConvSize,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        bias: Option<&Self::Buffer>,
        relu: bool,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradients of input, weight and, if there is one, bias. `relu` is the output, if a ReLU
    /// followed.
    ///
    /// # Errors
    /// The device's.
    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        relu: Option<&Self::Buffer>,
        gy: &Self::Buffer,
        gradients: (Self::SliceMut<'_>, Self::SliceMut<'_>, Option<Self::SliceMut<'_>>),
    ) -> Result<(), Self::Error>;
}

/// A convolution's weight `(co, c, kh, kw)` and its batch norm, `(co)` each, as buffers.
#[derive(Debug)]
pub struct ConvNormBuffers<B> {
    /// The convolution's weight.
    pub weight: B,
    /// The norm's factor (gamma).
    pub scale: B,
    /// The norm's summand (beta).
    pub bias: B,
    /// Running mean.
    pub mean: B,
    /// Running variance.
    pub variance: B,
}

/// What a device computes for a convolution with a batch norm in inference.
pub trait ConvNormKernel: Conv2dKernel {
    /// What the device makes of weight and norm once and keeps for the next inference.
    type Folded: Clone + Debug + Default + Send + Sync + 'static;

    /// One convolution of folded weights, `w' = w scale / sqrt(variance + eps)`, then a ReLU if asked for: `(b, h, w, c)` to
    /// `(b, h, w, co)`. A device may have a faster way here than [`conv2d`](Conv2dKernel::conv2d), whose sums are rounded in
    /// another order.
    ///
    /// What it makes of the weights is left in `folded`, if that is given, and found there by the next call: they and
    /// the precision must be the same then. `weights` is called only where they are needed: on a GPU always, on the CPU where
    /// `folded` does not hold them yet.
    ///
    /// # Errors
    /// The device's.
    fn conv_norm(
        &self,
        size: ConvSize,
        x: &Self::Buffer,
        weights: impl FnOnce() -> ConvNormBuffers<Self::Buffer>,
        folded: Option<&Self::Folded>,
        relu: bool,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
