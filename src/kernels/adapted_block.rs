//! An adapter and the frozen Hiera block that follows it, as one operation (paper, "Adapter"; Hiera,
//! arXiv 2306.00989; its SAM2 form, arXiv 2408.00714).
//!
//! ```text
//! z = x + gelu(up(gelu(down(x))))             adapter, trainable
//! a = skip(z) + proj(attention(norm1(z)))     skip: z, or maxpool(proj(norm1(z))) in a pooling block
//! y = a + fc2(gelu(fc1(norm2(a))))
//! ```

use super::device::Device;
use super::extent::Extent;
use super::memory_use::MemoryUse;

/// The sizes of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Number of maps.
    pub batch: usize,
    /// Height and width of the input map, in tokens; both even in a pooling block.
    pub map: Extent,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Hidden channels of the adapter.
    pub hidden: usize,
    /// Heads and window: the number of heads divides the output channels; a pooling block's window has an even side.
    pub attention: AttentionConfig,
    /// Whether the block pools: halves the map's height and width.
    pub pool: bool,
}

impl BlockSize {
    /// Number of elements of the input and of the output maps.
    pub fn lengths(&self) -> [usize; 2] {
        [self.map.area() * self.channels, self.out_map().area() * self.out_channels].map(|map| self.batch * map)
    }

    /// Height and width of the output map.
    pub fn out_map(&self) -> Extent {
        if self.pool { self.map.halved() } else { self.map }
    }
}

/// Heads and window of a block's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionConfig {
    /// Attention heads.
    pub heads: usize,
    /// Side of an attention window in tokens; 0 for the whole map.
    pub window: usize,
}

/// A block's frozen weights as the device stores them, each with its bias: `(out, in)` and `(out)`.
#[derive(Clone, Debug)]
pub struct BlockBuffers<F> {
    /// First layer norm, gamma and beta.
    pub norm1: [F; 2],
    /// Query, key and value projection, `(3 co, c)`.
    pub qkv: [F; 2],
    /// Attention's output projection, `(co, co)`.
    pub proj: [F; 2],
    /// Second layer norm.
    pub norm2: [F; 2],
    /// The MLP's first layer, `(4 co, co)`.
    pub fc1: [F; 2],
    /// The MLP's second layer, `(co, 4 co)`.
    pub fc2: [F; 2],
    /// The skip path's projection in a pooling block, `(co, c)`.
    pub skip: Option<[F; 2]>,
}

/// What a device computes for an adapter with its block.
pub trait AdaptedBlockKernel: Device {
    /// What the forward pass saves for the backward pass.
    type Saved: 'static;

    /// `x` `(b, h, w, c)` to `y` `(b, h, w, co)`, of half the height and width in a pooling block; `adapter`: down weight
    /// `(r, c)`, down bias, up weight `(c, r)`, up bias.
    ///
    /// # Errors
    /// When the device fails.
    fn adapted_block(
        &self,
        size: BlockSize,
        x: &Self::Buffer,
        adapter: &[Self::Buffer; 4],
        weights: &BlockBuffers<Self::Frozen>,
        memory: MemoryUse,
        y: Self::SliceMut<'_>,
    ) -> Result<Self::Saved, Self::Error>;

    /// Given `gy`, the gradient of `y`, adds to the gradients of `x` and of the four adapter weights, in that order.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::too_many_arguments)]
    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &Self::Buffer,
        adapter: &[Self::Buffer; 4],
        weights: &BlockBuffers<Self::Frozen>,
        saved: Self::Saved,
        gy: &Self::Buffer,
        gradients: [Self::SliceMut<'_>; 5],
    ) -> Result<(), Self::Error>;
}
