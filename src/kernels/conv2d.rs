//! Two-dimensional convolution with any odd kernel and dilation, stride 1, "same" padding, alone or with a batch norm.

use super::device::Device;
use super::extent::Extent;
use super::precision::Precision;
use std::fmt::Debug;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSize {
    /// Number of maps.
    pub batch: usize,
    /// Height and width of the input and of the output maps.
    pub map: Extent,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Height and width of the kernel, both odd.
    pub kernel: [usize; 2],
    /// Distance between neighbouring taps, in pixels.
    pub dilation: usize,
    /// Precision in which the products are computed.
    pub precision: Precision,
}

impl ConvSize {
    /// Number of elements of the input and of the output maps.
    pub fn lengths(&self) -> [usize; 2] {
        [self.channels, self.out_channels].map(|channels| self.batch * self.map.area() * channels)
    }
}

/// What a device computes for a convolution.
pub trait Conv2dKernel: Device {
    /// Maps `(b, h, w, c)` to `(b, h, w, co)`; weight `(co, c, kh, kw)`.
    ///
    /// # Errors
    /// When the device fails.
    fn conv2d(
        &self,
        size: ConvSize,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        bias: Option<&Self::Buffer>,
        relu: bool,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;

    /// Adds to the gradients of input, weight and, if there is one, bias. If a ReLU followed,
    /// `relu` is its output.
    ///
    /// # Errors
    /// When the device fails.
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
    /// The norm's offset (beta).
    pub bias: B,
    /// Running mean.
    pub mean: B,
    /// Running variance.
    pub variance: B,
}

/// What a device computes for a convolution with a batch norm in inference.
pub trait ConvNormKernel: Conv2dKernel {
    /// The weights with the norm folded in, which the device may keep from one inference to the next.
    type Folded: Clone + Debug + Default + Send + Sync + 'static;

    /// One convolution of folded weights, `w' = w scale / sqrt(variance + eps)`, then a ReLU if asked for: `(b, h, w, c)` to
    /// `(b, h, w, co)`. A device may have a faster way here than [`conv2d`](Conv2dKernel::conv2d), whose sums are rounded in
    /// another order.
    ///
    /// If `folded` is given, the folded weights may be stored in it for the next call, which must have the same weights and
    /// precision. `weights` is called only when they are needed: on a GPU always, on the CPU while `folded` does not hold them.
    ///
    /// # Errors
    /// When the device fails.
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
