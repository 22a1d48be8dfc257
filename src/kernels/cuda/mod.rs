//! The operations' kernels on NVIDIA GPUs: device addresses and plain numbers, launched in the order of dfdx's own
//! work. No sum depends on the order in which threads finish.

mod attention;
mod batch_norm;
mod block;
mod conv;
mod gemm;
mod launch;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod libraries;
mod loss;
mod memory;
mod open;
mod part;
mod patch_embed;
mod resample;
mod upload;

pub use open::{CudaOpenError, open_cuda};

use crate::nn::Memory;
use crate::nn::ops::adamw::{AdamWKernel, AdamWStep};
use crate::nn::ops::adapted_block::{AdaptedBlockKernel, BlockSize, FrozenBlock, Keep};
use crate::nn::ops::add_relu::AddReluKernel;
use crate::nn::ops::batch_norm::BatchNormKernel;
use crate::nn::ops::concat::ConcatKernel;
use crate::nn::ops::conv2d::{Conv2dKernel, ConvSize, NormedConv};
use crate::nn::ops::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use crate::nn::ops::resize::{ResizeKernel, ResizeSize};
use crate::nn::ops::structure_loss::{LossFlavour, StructureLossKernel};
use crate::nn::ops::up2_concat::{JoinSize, Up2ConcatKernel};
use dfdx::prelude::*;
use launch::{Kernels, Stream, args, kernels};
use memory::{Numbers, Out, View};
use part::{Part, PartMut};
use std::sync::Arc;

type Done = Result<(), CudaError>;

const ADD_RELU: Kernels = kernels!("add_relu");
const ADAMW: Kernels = kernels!("adamw");

impl PatchEmbedKernel for Cuda {
    fn patch_embed(&self, size: StemSize, x: &View, w: StemWeights<'_, Arc<Numbers>>, y: Out<'_>) -> Done {
        let weights = [w.weight, w.bias, w.background, w.window].map(Part::from);
        patch_embed::forward(&Stream::of(self)?, size, x.into(), weights, y.into())
    }
}

impl AdaptedBlockKernel for Cuda {
    type Saved = block::Saved;

    fn adapted_block(
        &self,
        size: BlockSize,
        x: &View,
        adapter: &[View; 4],
        frozen: &FrozenBlock<Arc<Numbers>>,
        keep: Keep,
        y: Out<'_>,
    ) -> Result<block::Saved, CudaError> {
        let stream = Stream::of(self)?;
        let block = block::Block::new(&stream, size, adapter.each_ref().map(Part::from), frozen)?;
        block.forward(x.into(), keep, y.into())
    }

    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &View,
        adapter: &[View; 4],
        frozen: &FrozenBlock<Arc<Numbers>>,
        saved: block::Saved,
        gy: &View,
        [gx, down_w, down_b, up_w, up_b]: [Out<'_>; 5],
    ) -> Done {
        let stream = Stream::of(self)?;
        let block = block::Block::new(&stream, size, adapter.each_ref().map(Part::from), frozen)?;
        let adapter = [down_w, down_b, up_w, up_b].map(PartMut::from);
        block.backward(x.into(), saved, gy.into(), block::BlockGradients { x: gx.into(), adapter })
    }
}

impl Conv2dKernel for Cuda {
    /// Nothing is kept: a kernel folds in each prediction.
    type Folded = ();

    fn conv2d(&self, size: ConvSize, x: &View, weight: &View, bias: Option<&View>, relu: bool, y: Out<'_>) -> Done {
        let stream = Stream::of(self)?;
        let bias = bias.map(Part::from);
        conv::Conv::new(&stream, size).forward(x.into(), weight.into(), bias, relu, y.into())
    }

    fn conv_batch_norm_inference<C: ConstDim, CO: ConstDim, KH: ConstDim, KW: ConstDim>(
        &self,
        size: ConvSize,
        x: &View,
        &NormedConv { weight, norm, relu, .. }: &NormedConv<'_, C, CO, KH, KW, Self>,
        y: Out<'_>,
    ) -> Done {
        let stream = Stream::of(self)?;
        let (weight, norm) = (self.view(weight), norm.map(|part| self.view(part)));
        let norm = norm.each_ref().map(Part::from);
        conv::Conv::new(&stream, size).forward_normed(x.into(), (&weight).into(), norm, relu, y.into())
    }

    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &View,
        weight: &View,
        relu: Option<&View>,
        gy: &View,
        (gx, gw, gb): (Out<'_>, Out<'_>, Option<Out<'_>>),
    ) -> Done {
        let stream = Stream::of(self)?;
        let gradients = (gx.into(), gw.into(), gb.map(PartMut::from));
        let relu = relu.map(Part::from);
        conv::Conv::new(&stream, size).backward(x.into(), weight.into(), relu, gy.into(), gradients)
    }
}

impl BatchNormKernel for Cuda {
    type Saved = batch_norm::Saved;

    fn batch_norm(
        &self,
        x: &View,
        scale: &View,
        bias: &View,
        relu: bool,
        y: Out<'_>,
        (mean, variance): (Out<'_>, Out<'_>),
    ) -> Result<batch_norm::Saved, CudaError> {
        let (affine, statistics) = ([scale, bias].map(Part::from), [mean, variance].map(PartMut::from));
        batch_norm::forward(&Stream::of(self)?, x.into(), affine, relu, y.into(), statistics)
    }

    fn channel_mean(&self, x: &View, channels: usize) -> Result<View, CudaError> {
        self.overwrite(channels, |mean| batch_norm::channel_mean(&Stream::of(self)?, x.into(), mean.into()))
    }

    fn centred(&self, x: View, mean: &View) -> Result<View, CudaError> {
        self.overwrite(x.len(), |y| batch_norm::centre(&Stream::of(self)?, (&x).into(), mean.into(), y.into()))
    }

    fn batch_norm_backward(
        &self,
        x: &View,
        _scale: &View,
        bias: &View,
        relu: bool,
        saved: batch_norm::Saved,
        gy: &View,
        (gx, g_scale, g_bias): (Out<'_>, Out<'_>, Out<'_>),
    ) -> Done {
        let gradients = [gx, g_scale, g_bias].map(PartMut::from);
        batch_norm::backward(&Stream::of(self)?, x.into(), bias.into(), relu, &saved, gy.into(), gradients)
    }
}

impl AddReluKernel for Cuda {
    fn add_relu(&self, a: &View, b: &View, y: Out<'_>) -> Done {
        let n = y.len();
        assert!(a.len() == n && b.len() == n);
        // SAFETY: each of the three has `n` numbers, and `y` is borrowed alone.
        unsafe { Stream::of(self)?.launch_over(n, ADD_RELU, "add_relu", args![n, a, b, &y]) }
    }

    fn add_relu_backward(&self, y: &View, gy: &View, [ga, gb]: [Out<'_>; 2]) -> Done {
        let n = y.len();
        assert!(gy.len() == n && ga.len() == n && gb.len() == n);
        // SAFETY: each of the four has `n` numbers, and the gradients are borrowed alone.
        unsafe { Stream::of(self)?.launch_over(n, ADD_RELU, "add_relu_backward", args![n, y, gy, &ga, &gb]) }
    }
}

impl ConcatKernel for Cuda {
    fn concat4(&self, c: usize, maps: &[View; 4], y: Out<'_>) -> Done {
        let stream = Stream::of(self)?;
        let mut y = PartMut::from(y);
        let put = |(i, map): (usize, &View)| part::put_columns(&stream, c, map.into(), [4 * c, i * c], y.again());
        maps.iter().enumerate().try_for_each(put)
    }

    fn concat4_backward(&self, c: usize, gy: &View, gradients: [Out<'_>; 4]) -> Done {
        let stream = Stream::of(self)?;
        let add = |(i, g): (usize, Out<'_>)| part::add_columns(&stream, c, gy.into(), [4 * c, i * c], g.into());
        gradients.into_iter().enumerate().try_for_each(add)
    }
}

impl Up2ConcatKernel for Cuda {
    fn up2_concat(&self, size: JoinSize, skip: &View, deep: &View, y: Out<'_>) -> Done {
        resample::up2_concat(&Stream::of(self)?, size, skip.into(), deep.into(), y.into())
    }

    fn up2_concat_backward(&self, size: JoinSize, gy: &View, [skip, deep]: [Out<'_>; 2]) -> Done {
        resample::up2_concat_backward(&Stream::of(self)?, size, gy.into(), [skip, deep].map(PartMut::from))
    }
}

impl ResizeKernel for Cuda {
    fn resize(&self, size: ResizeSize, x: &View, y: Out<'_>) -> Done {
        resample::resize(&Stream::of(self)?, size, x.into(), y.into())
    }

    fn resize_backward(&self, size: ResizeSize, gy: &View, gx: Out<'_>) -> Done {
        resample::resize_backward(&Stream::of(self)?, size, gy.into(), gx.into())
    }
}

impl StructureLossKernel for Cuda {
    fn loss_weights(&self, side: usize, mask: &View, y: Out<'_>) -> Done {
        loss::weights(&Stream::of(self)?, side, mask.into(), y.into())
    }

    fn structure_loss(
        &self,
        side: usize,
        flavour: LossFlavour,
        logits: &View,
        mask: &View,
        weights: &View,
        y: Out<'_>,
    ) -> Done {
        let planes = loss::Planes::new(side, flavour, [logits, mask, weights].map(Part::from));
        planes.forward(&Stream::of(self)?, y.into())
    }

    fn structure_loss_backward(
        &self,
        side: usize,
        flavour: LossFlavour,
        logits: &View,
        mask: &View,
        weights: &View,
        gy: &View,
        gx: Out<'_>,
    ) -> Done {
        let planes = loss::Planes::new(side, flavour, [logits, mask, weights].map(Part::from));
        planes.backward(&Stream::of(self)?, gy.into(), gx.into())
    }
}

impl AdamWKernel for Cuda {
    fn adamw(&self, s: &AdamWStep, old: &View, g: &View, [first, second]: [Out<'_>; 2], weight: Out<'_>) -> Done {
        let n = weight.len();
        assert!(old.len() == n && g.len() == n && first.len() == n && second.len() == n);
        let [keep, first_new, second_keep, second_new] = [s.keep, s.first_new, s.second_keep, s.second_new];
        let [scale, epsilon, step] = [s.second_scale, s.epsilon, s.step_size];
        let args =
            args![n, keep, first_new, second_keep, second_new, scale, epsilon, step, old, g, &first, &second, &weight];
        // SAFETY: each of the five has `n` numbers, and those that are written are borrowed alone.
        unsafe { Stream::of(self)?.launch_over(n, ADAMW, "adamw", args) }
    }
}
