//! All operations together.

use super::adamw::AdamWKernel;
use super::adapted_block::AdaptedBlockKernel;
use super::add_relu::AddReluKernel;
use super::batch_norm::BatchNormKernel;
use super::concat::ConcatKernel;
use super::conv2d::{Conv2dKernel, ConvNormKernel};
use super::exclusive_loss::ExclusiveLossKernel;
use super::patch_embed::PatchEmbedKernel;
use super::readback::ReadbackKernel;
use super::resize::ResizeKernel;
use super::structure_loss::StructureLossKernel;
use super::up2_concat::Up2ConcatKernel;

/// A device that computes every operation of the network.
pub trait AllKernels:
    PatchEmbedKernel
    + AdaptedBlockKernel
    + Conv2dKernel
    + ConvNormKernel
    + BatchNormKernel
    + AddReluKernel
    + ConcatKernel
    + Up2ConcatKernel
    + ResizeKernel
    + StructureLossKernel
    + ExclusiveLossKernel
    + AdamWKernel
    + ReadbackKernel
{
}

impl<D> AllKernels for D where
    D: PatchEmbedKernel
        + AdaptedBlockKernel
        + Conv2dKernel
        + ConvNormKernel
        + BatchNormKernel
        + AddReluKernel
        + ConcatKernel
        + Up2ConcatKernel
        + ResizeKernel
        + StructureLossKernel
        + ExclusiveLossKernel
        + AdamWKernel
        + ReadbackKernel
{
}
