//! The frozen stem: 7x7 convolution with stride 4 and the positional embedding.

use super::device::Device;
use super::extent::Extent;

/// The sizes of the stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemSize {
    /// Number of images.
    pub batch: usize,
    /// Height and width of an image, multiples of 4.
    pub image: Extent,
    /// Channels of the output map.
    pub channels: usize,
}

/// The stem's frozen weights.
#[derive(Clone, Copy, Debug)]
pub struct StemWeights<'a, F> {
    /// `(c, 3, 7, 7)`.
    pub weight: &'a F,
    /// `(c)`.
    pub bias: &'a F,
    /// Background of the positional embedding, `(1, c, bg, bg)`.
    pub background: &'a F,
    /// Window of the positional embedding, `(1, c, w, w)`.
    pub window: &'a F,
}

/// What a device computes for the stem.
pub trait PatchEmbedKernel: Device {
    /// Image `(b, 3, h, w)` to map `(b, h/4, w/4, c)`.
    ///
    /// # Errors
    /// When the device fails.
    fn patch_embed(
        &self,
        size: StemSize,
        x: &Self::Buffer,
        weights: StemWeights<'_, Self::Frozen>,
        y: Self::SliceMut<'_>,
    ) -> Result<(), Self::Error>;
}
