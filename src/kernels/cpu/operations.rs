//! Each operation's trait for the CPU.

use super::device::{Cpu, Done, FrozenWeight};
use super::gemm::packed::Packed;
use super::profile::{Kind, scope};
use super::scratch::{CHUNK, Scratch};
use super::winograd::Winograd;
use super::{batch_norm, block, loss, patch_embed, resample, vector};
use crate::kernels::adapted_block::{AdaptedBlockKernel, BlockBuffers, BlockSize};
use crate::kernels::add_relu::AddReluKernel;
use crate::kernels::batch_norm::{BatchNormKernel, EPSILON};
use crate::kernels::concat::ConcatKernel;
use crate::kernels::conv2d::{Conv2dKernel, ConvNormBuffers, ConvNormKernel, ConvSize};
use crate::kernels::extent::Extent;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use crate::kernels::resize::{ResizeKernel, ResizeSize};
use crate::kernels::structure_loss::{LossFlavour, StructureLossKernel};
use crate::kernels::up2_concat::{JoinSize, Up2ConcatKernel};
use rayon::prelude::*;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

impl PatchEmbedKernel for Cpu {
    fn patch_embed(&self, size: StemSize, x: &Scratch, w: StemWeights<'_, Arc<FrozenWeight>>, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Convolution, 0);
        let [weight, bias, background, window] = [w.weight, w.bias, w.background, w.window].map(|w| w.numbers());
        patch_embed::forward(size, x, weight, bias, background, window, y);
        Ok(())
    }
}

impl AdaptedBlockKernel for Cpu {
    type Saved = block::Saved;

    fn adapted_block(
        &self,
        size: BlockSize,
        x: &Scratch,
        adapter: &[Scratch; 4],
        frozen: &BlockBuffers<Arc<FrozenWeight>>,
        keep: MemoryUse,
        y: &mut [f32],
    ) -> Result<block::Saved, Infallible> {
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        Ok(block::Block::new(size, adapter, frozen).forward(x, keep, y))
    }

    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &Scratch,
        adapter: &[Scratch; 4],
        frozen: &BlockBuffers<Arc<FrozenWeight>>,
        saved: block::Saved,
        gy: &Scratch,
        [gx, down_w, down_b, up_w, up_b]: [&mut [f32]; 5],
    ) -> Done {
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        let gradients = block::BlockGradients { x: gx, adapter: [down_w, down_b, up_w, up_b] };
        block::Block::new(size, adapter, frozen).backward(x, saved, gy, gradients);
        Ok(())
    }
}

/// What a convolution multiplies by, its batch norm folded into it.
#[derive(Debug)]
struct FoldedConv {
    factors: Vec<Packed>,
    bias: Vec<f32>,
}

/// The same for each way of computing it: which one is taken, the map's side decides.
#[derive(Debug, Default)]
pub struct Folded {
    taps: OnceLock<FoldedConv>,
    winograd: OnceLock<FoldedConv>,
}

impl Clone for Folded {
    /// An empty one: a copy's weights may go another way.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Conv2dKernel for Cpu {
    fn conv2d(
        &self,
        size: ConvSize,
        x: &Scratch,
        weight: &Scratch,
        bias: Option<&Scratch>,
        relu: bool,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Convolution, size.operations());
        size.forward(x, &size.factor(weight), bias.map(|v| &**v), relu, y);
        Ok(())
    }

    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &Scratch,
        weight: &Scratch,
        relu: Option<&Scratch>,
        gy: &Scratch,
        (gx, gw, gb): (&mut [f32], &mut [f32], Option<&mut [f32]>),
    ) -> Done {
        let _work = scope(Kind::Convolution, 2 * size.operations());
        let masked = relu.map(|y| {
            let mut masked = Scratch::shared(gy.len());
            vector::relu_backward(y, gy, &mut masked);
            masked
        });
        let gy = masked.as_ref().unwrap_or(gy);
        size.backward_input(weight, gy, gx);
        size.backward_weight(x, gy, gw, gb);
        Ok(())
    }
}

impl ConvNormKernel for Cpu {
    type Folded = Folded;

    fn conv_norm(
        &self,
        size: ConvSize,
        x: &Scratch,
        weights: impl FnOnce() -> ConvNormBuffers<Scratch>,
        folded: Option<&Folded>,
        relu: bool,
        y: &mut [f32],
    ) -> Done {
        let winograd = Winograd::of(&size);
        let fold = || {
            let ConvNormBuffers { mut weight, scale, mut bias, mean, variance } = weights();
            let of_output = weight.len() / size.out_channels;
            let norms = scale.iter().zip(&*variance).zip(bias.iter_mut().zip(&*mean));
            for (weight, ((scale, variance), (bias, mean))) in weight.chunks_exact_mut(of_output).zip(norms) {
                let factor = scale / (variance + EPSILON as f32).sqrt();
                *bias -= mean * factor;
                weight.iter_mut().for_each(|w| *w *= factor);
            }
            let factors = match &winograd {
                Some(winograd) => winograd.factors(&weight),
                None => vec![size.factor(&weight)],
            };
            FoldedConv { factors, bias: bias.to_vec() }
        };
        let made;
        let FoldedConv { factors, bias } = match folded {
            Some(kept) => {
                let kept = if winograd.is_some() { &kept.winograd } else { &kept.taps };
                // Folded before the lock is asked for: a thread that waits for others may be given another prediction meanwhile.
                match kept.get() {
                    Some(folded) => folded,
                    None => {
                        let folded = fold();
                        kept.get_or_init(|| folded)
                    }
                }
            }
            None => {
                made = fold();
                &made
            }
        };
        let _work = scope(Kind::Convolution, size.operations());
        match winograd {
            Some(winograd) => winograd.forward(x, factors, bias, relu, y),
            None => size.forward(x, &factors[0], Some(bias), relu, y),
        }
        Ok(())
    }
}

impl BatchNormKernel for Cpu {
    /// Mean and variance.
    type Saved = [Vec<f64>; 2];

    fn batch_norm(
        &self,
        x: &Scratch,
        scale: &Scratch,
        bias: &Scratch,
        relu: bool,
        y: &mut [f32],
        (mean_out, variance_out): (&mut [f32], &mut [f32]),
    ) -> Result<[Vec<f64>; 2], Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        let moments = batch_norm::moments(x, bias.len());
        batch_norm::forward(x, &moments, scale, bias, relu, y);
        let n = (x.len() / bias.len()) as f64;
        let [mean, variance] = &moments;
        mean_out.copy_from_slice(&batch_norm::narrow(mean));
        for (out, v) in variance_out.iter_mut().zip(variance) {
            *out = (v * n / (n - 1.0)) as f32;
        }
        Ok(moments)
    }

    fn channel_mean(&self, x: &Scratch, channels: usize) -> Result<Scratch, Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        Ok(batch_norm::mean(x, channels).into())
    }

    fn centred(&self, mut x: Scratch, mean: &Scratch) -> Result<Scratch, Infallible> {
        let _work = scope(Kind::BatchNorm, 0);
        batch_norm::centre(&mut x, mean);
        Ok(x)
    }

    fn batch_norm_backward(
        &self,
        x: &Scratch,
        scale: &Scratch,
        bias: &Scratch,
        relu: bool,
        moments: [Vec<f64>; 2],
        gy: &Scratch,
        (gx, g_scale, g_bias): (&mut [f32], &mut [f32], &mut [f32]),
    ) -> Done {
        let _work = scope(Kind::BatchNorm, 0);
        batch_norm::backward(x, &moments, scale, bias, relu, gy, [gx, g_scale, g_bias]);
        Ok(())
    }
}

impl AddReluKernel for Cpu {
    fn add_relu(&self, a: &Scratch, b: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Join, 0);
        y.par_chunks_mut(CHUNK)
            .zip(a.par_chunks(CHUNK))
            .zip(b.par_chunks(CHUNK))
            .for_each(|((y, a), b)| vector::add_relu(a, b, y));
        Ok(())
    }

    fn add_relu_backward(&self, y: &Scratch, gy: &Scratch, [ga, gb]: [&mut [f32]; 2]) -> Done {
        let _work = scope(Kind::Join, 0);
        ga.par_chunks_mut(CHUNK)
            .zip(gb.par_chunks_mut(CHUNK))
            .zip(y.par_chunks(CHUNK).zip(gy.par_chunks(CHUNK)))
            .for_each(|((ga, gb), (y, gy))| {
                for (((ga, gb), y), g) in ga.iter_mut().zip(gb).zip(y).zip(gy) {
                    let g = if *y <= 0.0 { 0.0 } else { *g };
                    *ga += g;
                    *gb += g;
                }
            });
        Ok(())
    }
}

impl ConcatKernel for Cpu {
    fn concat4(&self, c: usize, maps: &[Scratch; 4], y: &mut [f32]) -> Done {
        let _work = scope(Kind::Join, 0);
        y.par_chunks_mut(4 * c).with_min_len(1024).enumerate().for_each(|(row, y)| {
            for (y, map) in y.chunks_exact_mut(c).zip(maps) {
                y.copy_from_slice(&map[row * c..][..c]);
            }
        });
        Ok(())
    }

    fn concat4_backward(&self, c: usize, gy: &Scratch, gradients: [&mut [f32]; 4]) -> Done {
        let _work = scope(Kind::Join, 0);
        for (part, gradient) in gradients.into_iter().enumerate() {
            let rows = gradient.par_chunks_mut(c).with_min_len(1024);
            rows.zip(gy.par_chunks(4 * c)).for_each(|(g, gy)| vector::add_assign(g, &gy[part * c..][..c]));
        }
        Ok(())
    }
}

impl Up2ConcatKernel for Cpu {
    fn up2_concat(&self, s: JoinSize, skip: &Scratch, deep: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resample::up2_concat([s.map.height, s.skip, s.deep], skip, deep, y);
        Ok(())
    }

    fn up2_concat_backward(&self, s: JoinSize, gy: &Scratch, [skip, deep]: [&mut [f32]; 2]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resample::up2_concat_backward([s.map.height, s.skip, s.deep], gy, skip, deep);
        Ok(())
    }
}

impl ResizeKernel for Cpu {
    fn resize(&self, s: ResizeSize, x: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resample::resize([s.from.height, s.to.height, s.classes], x, y);
        Ok(())
    }

    fn resize_backward(&self, s: ResizeSize, gy: &Scratch, gx: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resample::resize_backward([s.from.height, s.to.height, s.classes], gy, gx);
        Ok(())
    }
}

impl StructureLossKernel for Cpu {
    fn loss_weights(&self, plane: Extent, mask: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Loss, 0);
        loss::weights(plane.height, mask, y);
        Ok(())
    }

    fn structure_loss(
        &self,
        plane: Extent,
        flavour: LossFlavour,
        logits: &Scratch,
        mask: &Scratch,
        weights: &Scratch,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        y[0] = loss::forward(plane.area(), logits, mask, weights, flavour);
        Ok(())
    }

    fn structure_loss_backward(
        &self,
        plane: Extent,
        flavour: LossFlavour,
        logits: &Scratch,
        mask: &Scratch,
        weights: &Scratch,
        gy: &Scratch,
        gx: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        loss::backward(plane.area(), logits, mask, weights, flavour, gy[0], gx);
        Ok(())
    }
}
