//! The U-Net decoder and its outputs (paper, "Decoder").

use super::backend::bound::Backend;
use super::backend::tape::{Inference, Training};
use super::layers::conv_norm::BatchNorm;
use super::layers::widths::Mid;
use super::ops::activation::Activation;
use super::ops::conv_norm::{ConvOptions, FoldedOf};
use super::ops::conv2d::conv2d;
use super::ops::resize::resize;
use super::ops::up2_concat::up2_concat;
use super::shape::{Classes, EvenSide, Map, Masks, Side};
use super::weights::build::BuildOptions;
use super::weights::module::module;
use super::weights::roles::{Param, PerClass};
use crate::kernels::precision::Precision;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

/// Channels of skip and deep map, concatenated.
type Both = Const<128>;

module! {
    /// Convolution, normalisation and ReLU, twice: `(B, H, H, 128) -> (B, H, H, 64)`.
    pub struct DoubleConv<D: Backend> {
        /// `(64, 128, 3, 3)`.
        pub conv1("0.weight"): Param<(Mid, Both, Const<3>, Const<3>), D>,
        /// Before the first ReLU.
        pub norm1(1): BatchNorm<Mid, D>,
        /// `(64, 64, 3, 3)`.
        pub conv2("3.weight"): Param<(Mid, Mid, Const<3>, Const<3>), D>,
        /// Before the second ReLU.
        pub norm2(4): BatchNorm<Mid, D>,
    } with |_, from| {
        /// How it is computed.
        options: BuildOptions = from.options(),
        /// The weights with the batch norm folded in, kept by a predictor, whose weights no longer change.
        folded: [Option<FoldedOf<D>>; 2] = [None, None],
    } prepared |convs| {
        convs.folded = [Some(Default::default()), Some(Default::default())];
    }
}

module! {
    /// A decoder step: upsamples the deep map, concatenates it to the skip and convolves twice.
    pub struct Up<D: Backend> {
        /// The convolutions.
        pub conv("conv.double_conv"): DoubleConv<D>,
    }
}

module! {
    /// 1x1 convolution to the logits of `K` classes, resized to the image.
    pub struct Head<K: Classes, D: Backend> {
        /// `(K, 64, 1, 1)`.
        pub weight("weight"): PerClass<(K, Mid, Const<1>, Const<1>), D>,
        /// `(K,)`.
        pub bias("bias"): PerClass<(K,), D>,
    }
}

impl<D: Backend> DoubleConv<D> {
    fn conv_options(&self) -> ConvOptions {
        let BuildOptions { precision, memory } = self.options;
        ConvOptions { dilation: 1, relu: true, precision, memory }
    }
}

impl<B: Dim, H: Dim, D: Backend> Module<&Activation<B, H, Both, D>> for DoubleConv<D> {
    type Output = Activation<B, H, Mid, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, Both, D>) -> Result<Self::Output, D::Err> {
        let [first, second] = &self.folded;
        let x = x.conv_norm(self.norm1.inference(&self.conv1, first, self.conv_options()))?;
        x.conv_norm(self.norm2.inference(&self.conv2, second, self.conv_options()))
    }
}

impl<B: Dim, H: Dim, D: Backend, T: Training<D>> ModuleMut<Map<B, H, Both, D, T>> for DoubleConv<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, Both, D, T>) -> Result<Self::Output, D::Err> {
        self.folded = [None, None];
        let options = self.conv_options();
        let x = self.norm1.train(x, &self.conv1, options)?;
        self.norm2.train(x, &self.conv2, options)
    }
}

/// Skip `(B, H, H, 64)` and deep map `(B, H/2, H/2, 64)`, borrowed.
type Lent<'x, B, H, D> = (&'x Activation<B, H, Mid, D>, &'x Activation<B, <H as EvenSide>::Half, Mid, D>);

/// The same as tensors.
type Taped<B, H, D, T> = (Map<B, H, Mid, D, T>, Map<B, <H as EvenSide>::Half, Mid, D, T>);

impl<B: Dim, H: EvenSide, D: Backend> Module<Lent<'_, B, H, D>> for Up<D> {
    type Output = Activation<B, H, Mid, D>;
    type Error = D::Err;
    fn try_forward(&self, (skip, deep): Lent<'_, B, H, D>) -> Result<Self::Output, D::Err> {
        self.conv.try_forward(&Activation::up2_concat(skip, deep)?)
    }
}

impl<B: Dim, H: EvenSide, D: Backend, T: Inference<D>> Module<Taped<B, H, D, T>> for Up<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward(&self, (skip, deep): Taped<B, H, D, T>) -> Result<Self::Output, D::Err> {
        self.try_forward((&Activation::from_map(skip)?, &Activation::from_map(deep)?))?.into_map()
    }
}

impl<B: Dim, H: EvenSide, D: Backend, T: Training<D>> ModuleMut<Taped<B, H, D, T>> for Up<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, (skip, deep): Taped<B, H, D, T>) -> Result<Self::Output, D::Err> {
        self.conv.try_forward_mut(up2_concat(skip, deep)?)
    }
}

impl<K: Classes, D: Backend> Head<K, D> {
    /// Logits at `side`, the image's, in training: `(B, H, H, 64) -> (B, K, S, S)`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn train_logits<S: Side, B: Dim, H: Dim, T: Training<D>>(
        &self,
        x: Map<B, H, Mid, D, T>,
        side: S,
    ) -> Result<Masks<B, S, K, D, T>, D::Err> {
        resize(conv2d(x, &self.weight.tensor(), Some(&self.bias.tensor()), 1, false, Precision::F32)?, side)
    }

    /// Logits at `side`, the image's, in inference: `(B, H, H, 64) -> (B, K, S, S)`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn logits<S: Side, B: Dim, H: Dim, T: Inference<D>>(
        &self,
        x: &Activation<B, H, Mid, D>,
        side: S,
    ) -> Result<Masks<B, S, K, D, T>, D::Err> {
        x.conv1x1(&self.weight.tensor(), &self.bias.tensor())?.resize(side)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// The device that it is on.
    pub fn device(&self) -> &D {
        self.bias.device()
    }
}
