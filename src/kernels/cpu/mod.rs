//! The operations' kernels on the CPU: slices and plain numbers, parallel by rayon's current pool.
//!
//! No result depends on the number of threads: sums over pixels are cut into parts by size alone.

mod adamw;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod batch_norm;
mod bilinear;
mod block;
mod buffer;
mod conv;
mod matmul;
mod patch_embed;
mod positional_embedding;
pub mod profile;
mod resize;
mod scratch;
mod spin;
mod structure_loss;
mod tile;
mod up2_concat;
mod vector;

use crate::kernels::extent::Extent;
use crate::nn::ops::adapted_block::{AdaptedBlockKernel, BlockSize, FrozenBlock, Keep};
use crate::nn::ops::add_relu::AddReluKernel;
use crate::nn::ops::batch_norm::{BatchNormKernel, EPSILON};
use crate::nn::ops::concat::ConcatKernel;
use crate::nn::ops::conv2d::{Conv2dKernel, ConvSize, NormedConv};
use crate::nn::ops::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use crate::nn::ops::resize::{ResizeKernel, ResizeSize};
use crate::nn::ops::structure_loss::{LossFlavour, StructureLossKernel};
use crate::nn::ops::up2_concat::{JoinSize, Up2ConcatKernel};
use crate::nn::weights::Encoded;
use crate::nn::{Buffer, Memory, Precision};
use buffer::{Buffer as Scratch, CHUNK};
use conv::geometry::ConvGeometry;
use conv::winograd::Winograd;
use dfdx::prelude::*;
use matmul::Packed;
pub use matmul::peak;
use profile::{Kind, scope};
use rayon::prelude::*;

use std::sync::{Arc, OnceLock};

type Done = Result<(), CpuError>;

/// A frozen weight, as its operation wants it.
#[derive(Debug)]
pub enum FrozenWeight {
    /// Plain numbers.
    Numbers(Vec<f32>),
    /// A linear layer's weight `(out, in)`, packed for its forward pass in the precision that its block computes in.
    Factor(Packed),
}

impl FrozenWeight {
    fn numbers(&self) -> &[f32] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Factor(_) => unreachable!("a weight of two dimensions is a factor"),
        }
    }

    fn factor(&self) -> &Packed {
        match self {
            Self::Factor(factor) => factor,
            Self::Numbers(_) => unreachable!("only a weight of two dimensions is a factor"),
        }
    }
}

impl Memory for Cpu {
    type Frozen = Arc<FrozenWeight>;
    type View = Scratch;
    type Out<'a> = &'a mut [f32];

    fn describe(&self) -> String {
        "cpu".into()
    }

    fn explain(error: &CpuError) -> String {
        error.to_string()
    }

    fn offers(&self, precision: Precision) -> bool {
        match precision {
            Precision::F32 | Precision::Bf16 => true,
            Precision::Tf32 => false,
        }
    }

    fn needs(precision: Precision) -> &'static str {
        match precision {
            Precision::F32 | Precision::Bf16 => "nothing more",
            Precision::Tf32 => "an NVIDIA GPU",
        }
    }

    fn multiplies_in(&self, precision: Precision) -> Precision {
        Packed::computed_in(precision)
    }

    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Arc<FrozenWeight>, CpuError> {
        Ok(Arc::new(match shape {
            [_, inputs] => FrozenWeight::Factor(Packed::frozen(&values, *inputs, precision)),
            _ => FrozenWeight::Numbers(values),
        }))
    }

    fn freeze_encoded(
        &self,
        numbers: &Encoded<'_>,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Arc<FrozenWeight>, CpuError> {
        match shape {
            [_, inputs] => Ok(Arc::new(FrozenWeight::Factor(Packed::from_encoded(numbers, *inputs, precision)))),
            _ => self.freeze(numbers.to_vec(), shape, precision),
        }
    }

    fn thaw(&self, weight: &Arc<FrozenWeight>) -> Result<Vec<f32>, CpuError> {
        Ok(match &**weight {
            FrozenWeight::Numbers(numbers) => numbers.clone(),
            FrozenWeight::Factor(factor) => factor.to_columns(),
        })
    }

    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Scratch {
        let mut numbers = Scratch::shared(t.shape().num_elements());
        t.copy_into(&mut numbers); // one copy; `as_vec` walks element by element
        numbers
    }

    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, CpuError> {
        let mut numbers = vec![0.0; t.shape().num_elements()];
        t.copy_into(&mut numbers);
        Ok(numbers)
    }

    fn take(&self, slot: &mut Buffer<Self>) -> Result<Scratch, CpuError> {
        Ok(std::mem::take(&mut **slot).into())
    }

    fn out(buffer: &mut Buffer<Self>) -> &mut [f32] {
        buffer
    }

    fn store(&self, numbers: &[f32]) -> Result<Buffer<Self>, CpuError> {
        let mut buffer = <Self as Storage<f32>>::try_alloc_len(self, numbers.len())?;
        buffer.copy_from_slice(numbers);
        Ok(buffer)
    }

    fn fetch(&self, buffer: &Buffer<Self>) -> Result<Vec<f32>, CpuError> {
        Ok(buffer.to_vec())
    }

    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, CpuError> {
        self.try_tensor_from_vec(numbers.to_vec(), shape)
    }

    fn lags(&self) -> bool {
        false
    }

    fn renew<S: Shape>(&self, t: &mut Tensor<S, f32, Self>, fill: impl FnOnce(&Scratch, &mut [f32]) -> Done) -> Done {
        let (old, mut new) = (self.view(t), Scratch::shared(t.shape().num_elements()));
        fill(&old, &mut new)?;
        t.copy_from(&new);
        Ok(())
    }

    fn peak_bytes(&self) -> Option<u64> {
        None
    }

    fn fill(&self, length: usize, fill: impl FnOnce(&mut [f32]) -> Done) -> Result<Scratch, CpuError> {
        let mut numbers = Scratch::shared_zeros(length);
        fill(&mut numbers)?;
        Ok(numbers)
    }

    fn awake<R>(&self, work: impl FnOnce() -> R) -> R {
        buffer::with_large_pool(|| spin::keep_busy(work))
    }

    fn overwrite(&self, length: usize, write: impl FnOnce(&mut [f32]) -> Done) -> Result<Scratch, CpuError> {
        let mut numbers = Scratch::shared(length);
        write(&mut numbers)?;
        Ok(numbers)
    }

    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(&mut [f32]) -> Result<R, CpuError>,
    ) -> Result<(Tensor<S, f32, Self>, R), CpuError> {
        let mut numbers = buffer::zeros(shape.num_elements());
        let extra = fill(&mut numbers)?;
        Ok((self.try_tensor_from_vec(numbers, shape)?, extra))
    }
}

impl PatchEmbedKernel for Cpu {
    fn patch_embed(&self, size: StemSize, x: &Scratch, w: StemWeights<'_, Arc<FrozenWeight>>, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Convolution, 0);
        let [weight, bias, background, window] = [w.weight, w.bias, w.background, w.window].map(|w| w.numbers());
        patch_embed::forward(Extent::square(size.side), x, weight, bias, background, window, y);
        Ok(())
    }
}

impl AdaptedBlockKernel for Cpu {
    type Saved = block::state::Saved;

    fn adapted_block(
        &self,
        size: BlockSize,
        x: &Scratch,
        adapter: &[Scratch; 4],
        frozen: &FrozenBlock<Arc<FrozenWeight>>,
        keep: Keep,
        y: &mut [f32],
    ) -> Result<block::state::Saved, CpuError> {
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        Ok(block::state::Block::new(size.into(), adapter, frozen).forward(x, keep, y))
    }

    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &Scratch,
        adapter: &[Scratch; 4],
        frozen: &FrozenBlock<Arc<FrozenWeight>>,
        saved: block::state::Saved,
        gy: &Scratch,
        [gx, down_w, down_b, up_w, up_b]: [&mut [f32]; 5],
    ) -> Done {
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        let gradients = block::state::BlockGradients { x: gx, adapter: [down_w, down_b, up_w, up_b] };
        block::state::Block::new(size.into(), adapter, frozen).backward(x, saved, gy, gradients);
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
    type Folded = Folded;

    fn conv2d(
        &self,
        size: ConvSize,
        x: &Scratch,
        weight: &Scratch,
        bias: Option<&Scratch>,
        relu: bool,
        y: &mut [f32],
    ) -> Done {
        let size = ConvGeometry::from(size);
        let _work = scope(Kind::Convolution, size.operations());
        size.forward(x, &size.packed_weight(weight), bias.map(|v| &**v), relu, y);
        Ok(())
    }

    fn conv_batch_norm_inference<C: ConstDim, CO: ConstDim, KH: ConstDim, KW: ConstDim>(
        &self,
        size: ConvSize,
        x: &Scratch,
        &NormedConv { weight, norm, folded, relu, .. }: &NormedConv<'_, C, CO, KH, KW, Self>,
        y: &mut [f32],
    ) -> Done {
        let size = ConvGeometry::from(size);
        let winograd = Winograd::of(&size);
        let fold = || {
            let mut weight = self.view(weight);
            let [scale, mut bias, mean, variance] = norm.map(|t| self.view(t));
            let of_output = weight.len() / size.out_channels;
            let norms = scale.iter().zip(&*variance).zip(bias.iter_mut().zip(&*mean));
            for (weight, ((scale, variance), (bias, mean))) in weight.chunks_exact_mut(of_output).zip(norms) {
                let factor = scale / (variance + EPSILON as f32).sqrt();
                *bias -= mean * factor;
                weight.iter_mut().for_each(|w| *w *= factor);
            }
            let factors = match &winograd {
                Some(winograd) => winograd.factors(&weight),
                None => vec![size.packed_weight(&weight)],
            };
            FoldedConv { factors, bias: bias.to_vec() }
        };
        let made;
        let FoldedConv { factors, bias } = match folded {
            Some(kept) => {
                let kept = if winograd.is_some() { &kept.winograd } else { &kept.taps };
                // Folded before the lock is asked for: a thread that waits for others may be given another prediction meanwhile.
                kept.get().unwrap_or_else(|| {
                    let folded = fold();
                    kept.get_or_init(|| folded)
                })
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

    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &Scratch,
        weight: &Scratch,
        relu: Option<&Scratch>,
        gy: &Scratch,
        (gx, gw, gb): (&mut [f32], &mut [f32], Option<&mut [f32]>),
    ) -> Done {
        let size = ConvGeometry::from(size);
        let _work = scope(Kind::Convolution, 2 * size.operations());
        let masked = relu.map(|y| {
            let mut masked = Scratch::shared(gy.len());
            vector::rows::relu_backward(y, gy, &mut masked);
            masked
        });
        let gy = masked.as_ref().unwrap_or(gy);
        size.backward_input(weight, gy, gx);
        size.backward_weight(x, gy, gw, gb);
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
    ) -> Result<[Vec<f64>; 2], CpuError> {
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

    fn channel_mean(&self, x: &Scratch, channels: usize) -> Result<Scratch, CpuError> {
        let _work = scope(Kind::BatchNorm, 0);
        Ok(batch_norm::mean(x, channels).into())
    }

    fn centred(&self, mut x: Scratch, mean: &Scratch) -> Result<Scratch, CpuError> {
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
            .for_each(|((y, a), b)| vector::rows::add_relu(a, b, y));
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
            rows.zip(gy.par_chunks(4 * c)).for_each(|(g, gy)| vector::rows::add_assign(g, &gy[part * c..][..c]));
        }
        Ok(())
    }
}

impl Up2ConcatKernel for Cpu {
    fn up2_concat(&self, s: JoinSize, skip: &Scratch, deep: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        up2_concat::up2_concat(Extent::square(s.side), [s.skip, s.deep], skip, deep, y);
        Ok(())
    }

    fn up2_concat_backward(&self, s: JoinSize, gy: &Scratch, [skip, deep]: [&mut [f32]; 2]) -> Done {
        let _work = scope(Kind::Resample, 0);
        up2_concat::up2_concat_backward(Extent::square(s.side), [s.skip, s.deep], gy, skip, deep);
        Ok(())
    }
}

impl ResizeKernel for Cpu {
    fn resize(&self, s: ResizeSize, x: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resize::resize([s.from, s.to].map(Extent::square), s.classes, x, y);
        Ok(())
    }

    fn resize_backward(&self, s: ResizeSize, gy: &Scratch, gx: &mut [f32]) -> Done {
        let _work = scope(Kind::Resample, 0);
        resize::resize_backward([s.from, s.to].map(Extent::square), s.classes, gy, gx);
        Ok(())
    }
}

impl StructureLossKernel for Cpu {
    fn loss_weights(&self, side: usize, mask: &Scratch, y: &mut [f32]) -> Done {
        let _work = scope(Kind::Loss, 0);
        structure_loss::weights(Extent::square(side), mask, y);
        Ok(())
    }

    fn structure_loss(
        &self,
        side: usize,
        flavour: LossFlavour,
        logits: &Scratch,
        mask: &Scratch,
        weights: &Scratch,
        y: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        y[0] = structure_loss::forward(side * side, logits, mask, weights, flavour);
        Ok(())
    }

    fn structure_loss_backward(
        &self,
        side: usize,
        flavour: LossFlavour,
        logits: &Scratch,
        mask: &Scratch,
        weights: &Scratch,
        gy: &Scratch,
        gx: &mut [f32],
    ) -> Done {
        let _work = scope(Kind::Loss, 0);
        structure_loss::backward(side * side, logits, mask, weights, flavour, gy[0], gx);
        Ok(())
    }
}
