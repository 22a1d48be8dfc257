//! Convolution with batch normalisation, in its two lives.
//!
//! In training the batch's own statistics normalise and the running ones follow them; in inference the
//! running ones are folded into the convolution (`w' = w s / sqrt(v + eps)`, eps 1e-5).

use super::ops::{Conv2dKernel, Flow, Keep};
use super::{Backend, Counter, Inference, Map, Param, Precision, Statistic, Training, ops};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

/// What inference keeps of a convolution with its batch norm, where it may: see
/// [`Sam2UNet::for_inference`](super::Sam2UNet::for_inference).
pub(super) type Folded<D> = Option<<D as Conv2dKernel>::Folded>;

/// How far a running statistic moves towards the batch's, as in PyTorch's `BatchNorm2d`.
const MOMENTUM: f64 = 0.1;

module! {
    /// Batch normalisation of `C` channels.
    pub struct BatchNorm<C: ConstDim, D: Backend> {
        /// `(C,)`.
        pub scale("weight"): Param<(C,), D>,
        /// `(C,)`.
        pub bias("bias"): Param<(C,), D>,
        /// `(C,)`.
        pub running_mean("running_mean"): Statistic<(C,), D>,
        /// `(C,)`, unbiased.
        pub running_var("running_var"): Statistic<(C,), D>,
        /// Training batches seen.
        pub batches("num_batches_tracked"): Counter,
    }
}

module! {
    /// `KH x KW` convolution without bias that keeps the map's side, then batch normalisation;
    /// no activation: `(B, H, H, C) -> (B, H, H, CO)`.
    pub struct ConvBn<C: ConstDim, CO: ConstDim, D: Backend; KH, KW, DILATION = 1> {
        /// `(CO, C, KH, KW)`.
        pub weight("conv.weight"): Param<(CO, C, Const<KH>, Const<KW>), D>,
        /// Normalises the convolution's output.
        pub norm("bn"): BatchNorm<CO, D>,
    } with |_, from| {
        /// What the convolution is computed in; in inference, a 1x1 one is always in single precision.
        pub precision: Precision = from.precision(),
        /// Whether training keeps the convolution's output for the backward pass, or computes it again.
        pub keep: Keep = Keep::default(),
        /// What inference makes of the weights, if they stay as they are.
        folded: Folded<D> = from.folded(),
    }
}

/// What to do around the convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) dilation: usize,
    pub(super) relu: bool,
    pub(super) precision: Precision,
    pub(super) keep: Keep,
}

impl<CO: ConstDim, D: Backend> BatchNorm<CO, D> {
    /// Convolution, normalisation and maybe ReLU, in inference: one convolution.
    pub(super) fn behind<'a, C: ConstDim, const KH: usize, const KW: usize>(
        &'a self,
        weight: &'a Param<(CO, C, Const<KH>, Const<KW>), D>,
        folded: &'a Folded<D>,
        around: Around,
    ) -> ops::NormedConv<'a, C, CO, Const<KH>, Const<KW>, D> {
        let Around { dilation, relu, precision, .. } = around;
        let norm = [&self.scale, &self.bias, &self.running_mean.0, &self.running_var.0];
        // A 1x1 convolution's input is centred in training; here it is not, and bf16 would round its mean.
        let precision = if KH * KW == 1 { Precision::F32 } else { precision };
        ops::NormedConv { weight, norm, folded: folded.as_ref(), dilation, relu, precision }
    }

    /// Convolution, normalisation and maybe ReLU, in training: moves the running statistics.
    pub(super) fn train<B: Dim, H: Dim, C: ConstDim, T: Training<D>, const KH: usize, const KW: usize>(
        &mut self,
        x: Map<B, H, C, D, T>,
        weight: &Param<(CO, C, Const<KH>, Const<KW>), D>,
        around: Around,
    ) -> Result<Map<B, H, CO, D, T>, D::Err> {
        let norm = [&self.scale, &self.bias];
        let Around { dilation, relu, precision, keep } = around;
        let (y, [mean, var]) = ops::conv_batch_norm_train(x, weight, norm, dilation, relu, (precision, keep))?;
        self.running_mean.0.try_axpy(1.0 - MOMENTUM, &mean, MOMENTUM)?;
        self.running_var.0.try_axpy(1.0 - MOMENTUM, &var, MOMENTUM)?;
        self.batches.0 += 1;
        Ok(y)
    }
}

impl<C: ConstDim, CO: ConstDim, D: Backend, const KH: usize, const KW: usize, const DILATION: usize>
    ConvBn<C, CO, D, KH, KW, DILATION>
{
    fn around(&self) -> Around {
        Around { dilation: DILATION, relu: false, precision: self.precision, keep: self.keep }
    }
}

impl<B: Dim, H: Dim, C: ConstDim, CO: ConstDim, D: Backend, const KH: usize, const KW: usize, const DILATION: usize>
    Module<&Flow<B, H, C, D>> for ConvBn<C, CO, D, KH, KW, DILATION>
{
    type Output = Flow<B, H, CO, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Flow<B, H, C, D>) -> Result<Self::Output, D::Err> {
        x.conv_batch_norm(self.norm.behind(&self.weight, &self.folded, self.around()))
    }
}

impl<
    B: Dim,
    H: Dim,
    C: ConstDim,
    CO: ConstDim,
    D: Backend,
    T: Inference<D>,
    const KH: usize,
    const KW: usize,
    const DILATION: usize,
> Module<Map<B, H, C, D, T>> for ConvBn<C, CO, D, KH, KW, DILATION>
{
    type Output = Map<B, H, CO, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        Flow::of(x)?.conv_batch_norm_map(self.norm.behind(&self.weight, &self.folded, self.around()))
    }
}

impl<
    B: Dim,
    H: Dim,
    C: ConstDim,
    CO: ConstDim,
    D: Backend,
    T: Training<D>,
    const KH: usize,
    const KW: usize,
    const DILATION: usize,
> ModuleMut<Map<B, H, C, D, T>> for ConvBn<C, CO, D, KH, KW, DILATION>
{
    type Output = Map<B, H, CO, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        self.folded = None;
        let around = self.around();
        self.norm.train(x, &self.weight, around)
    }
}
