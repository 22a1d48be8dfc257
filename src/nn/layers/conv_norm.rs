//! Convolution with batch normalisation.
//!
//! Training normalises with the batch's own statistics and updates the running ones; in inference the
//! running ones are folded into the convolution (`w' = w s / sqrt(v + eps)`, eps 1e-5).

use crate::kernels::precision::Precision;
use crate::nn::backend::bound::{Backend, BufferOf};
use crate::nn::backend::tape::Training;
use crate::nn::ops::activation::Activation;
use crate::nn::ops::conv_norm::{BatchNormRef, ConvNormRef, ConvOptions, FoldedOf, conv_norm};
use crate::nn::shape::Map;
use crate::nn::weights::build::BuildOptions;
use crate::nn::weights::module::module;
use crate::nn::weights::roles::{Counter, Param, Statistic};
use crate::nn::weights::running::RunningNorm;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

/// How far a running statistic moves towards the batch's, as in PyTorch's `BatchNorm2d`.
const MOMENTUM: f64 = 0.1;

module! {
    /// Batch normalisation of `C` channels.
    pub struct BatchNorm<C: ConstDim, D: Backend> {
        /// Factor (gamma), `(C,)`.
        pub scale("weight"): Param<(C,), D>,
        /// Offset (beta), `(C,)`.
        pub bias("bias"): Param<(C,), D>,
        /// Running mean, `(C,)`.
        pub running_mean("running_mean"): Statistic<(C,), D>,
        /// Running variance (unbiased), `(C,)`.
        pub running_var("running_var"): Statistic<(C,), D>,
        /// Training batches seen.
        pub batches("num_batches_tracked"): Counter,
    } with |_, _| {
        /// Mean and variance of batches that the running ones do not know yet; `None` where they move with each batch.
        held: Held<C, D> = Held(None),
    } normed |norm, f| {
        f(norm)?;
    }
}

module! {
    /// `KH x KW` convolution without bias that keeps the map's side, then batch normalisation;
    /// no activation function: `(B, H, H, C) -> (B, H, H, CO)`.
    pub struct ConvNorm<C: ConstDim, CO: ConstDim, D: Backend; KH, KW, DILATION = 1> {
        /// `(CO, C, KH, KW)`.
        pub weight("conv.weight"): Param<(CO, C, Const<KH>, Const<KW>), D>,
        /// Normalises the convolution's output.
        pub norm("bn"): BatchNorm<CO, D>,
    } with |_, from| {
        /// How it is computed; in inference, a 1x1 convolution is always in single precision.
        options: BuildOptions = from.options(),
        /// The weights with the batch norm folded in, kept by a predictor, whose weights no longer change.
        folded: Option<FoldedOf<D>> = None,
    } prepared |conv| {
        conv.folded = Some(Default::default());
    }
}

/// What a batch norm holds of batches. A copy of the model holds nothing, and its statistics move with each batch.
#[derive(Debug)]
struct Held<C: ConstDim, D: Backend>(Option<Vec<Moments<C, D>>>);

/// A batch's mean and unbiased variance, `(C,)` each.
type Moments<C, D> = [Tensor<(C,), f32, D>; 2];

impl<C: ConstDim, D: Backend> Clone for Held<C, D> {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<CO: ConstDim, D: Backend> BatchNorm<CO, D> {
    /// A convolution with this norm for inference.
    pub(in crate::nn) fn inference<'a, C: ConstDim, const KH: usize, const KW: usize>(
        &'a self,
        weight: &'a Param<(CO, C, Const<KH>, Const<KW>), D>,
        folded: &'a Option<FoldedOf<D>>,
        options: ConvOptions,
    ) -> ConvNormRef<'a, C, CO, Const<KH>, Const<KW>, D> {
        let norm = BatchNormRef {
            scale: &self.scale,
            bias: &self.bias,
            mean: &self.running_mean.0,
            variance: &self.running_var.0,
        };
        // A 1x1 convolution's input is centred in training; here it is not, and bf16 would round its mean.
        let precision = if KH * KW == 1 { Precision::F32 } else { options.precision };
        ConvNormRef { weight, norm, folded: folded.as_ref(), options: ConvOptions { precision, ..options } }
    }

    /// Convolution, normalisation and maybe ReLU, in training: moves the running statistics.
    pub(in crate::nn) fn train<B: Dim, H: Dim, C: ConstDim, T: Training<D>, const KH: usize, const KW: usize>(
        &mut self,
        x: Map<B, H, C, D, T>,
        weight: &Param<(CO, C, Const<KH>, Const<KW>), D>,
        options: ConvOptions,
    ) -> Result<Map<B, H, CO, D, T>, D::Err> {
        let (y, statistics) = conv_norm(x, weight, [&self.scale, &self.bias], options)?;
        match &mut self.held.0 {
            Some(held) => held.push(statistics),
            None => self.follow(&statistics)?,
        }
        Ok(y)
    }

    /// Moves the running statistics by those of a batch.
    fn follow(&mut self, [mean, var]: &Moments<CO, D>) -> Result<(), D::Err> {
        self.running_mean.0.try_axpy(1.0 - MOMENTUM, mean, MOMENTUM)?;
        self.running_var.0.try_axpy(1.0 - MOMENTUM, var, MOMENTUM)?;
        self.batches.0 += 1;
        Ok(())
    }
}

impl<C: ConstDim, D: Backend> RunningNorm<D> for BatchNorm<C, D> {
    fn hold(&mut self) {
        self.held.0.get_or_insert_default();
    }

    fn width(&self) -> usize {
        2 * C::SIZE
    }

    fn take(&mut self) -> Result<Vec<f32>, D::Err> {
        let held = self.held.0.as_mut().map(std::mem::take).unwrap_or_default();
        let device = self.scale.device();
        held.iter().flatten().map(|numbers| device.read(numbers)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }

    fn take_buffers(&mut self) -> Vec<BufferOf<D>> {
        let held = self.held.0.as_mut().map(std::mem::take).unwrap_or_default();
        let device = self.scale.device();
        held.iter().flatten().map(|numbers| device.view(numbers)).collect()
    }

    fn put(&mut self, numbers: &[f32]) -> Result<(), D::Err> {
        let (mean, var) = numbers.split_at(C::SIZE);
        let upload = |numbers| self.scale.device().upload(numbers, (C::default(),));
        let statistics = [upload(mean)?, upload(var)?];
        self.held.0.get_or_insert_default().push(statistics);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), D::Err> {
        let held = self.held.0.as_mut().map(std::mem::take).unwrap_or_default();
        held.iter().try_for_each(|statistics| self.follow(statistics))
    }

    fn forget(&mut self) {
        self.held.0.iter_mut().for_each(Vec::clear);
    }
}

impl<C: ConstDim, CO: ConstDim, D: Backend, const KH: usize, const KW: usize, const DILATION: usize>
    ConvNorm<C, CO, D, KH, KW, DILATION>
{
    fn conv_options(&self) -> ConvOptions {
        let BuildOptions { precision, memory } = self.options;
        ConvOptions { dilation: DILATION, relu: false, precision, memory }
    }

    /// Precision in which its products are computed.
    pub fn precision(&self) -> Precision {
        self.options.precision
    }
}

impl<B: Dim, H: Dim, C: ConstDim, CO: ConstDim, D: Backend, const KH: usize, const KW: usize, const DILATION: usize>
    Module<&Activation<B, H, C, D>> for ConvNorm<C, CO, D, KH, KW, DILATION>
{
    type Output = Activation<B, H, CO, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        x.conv_norm(self.norm.inference(&self.weight, &self.folded, self.conv_options()))
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
> ModuleMut<Map<B, H, C, D, T>> for ConvNorm<C, CO, D, KH, KW, DILATION>
{
    type Output = Map<B, H, CO, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        self.folded = None;
        let options = self.conv_options();
        self.norm.train(x, &self.weight, options)
    }
}
