//! The U-Net decoder and its outputs.

use super::conv_bn::{Around, Folded};
use super::ops::{Flow, Keep};
use super::{Backend, BatchNorm, Even, Inference, Map, Masks, Mid, Param, Precision, Side, Training, ops};
use dfdx::nn::{Module, ModuleMut, NonMutableModule};
use dfdx::prelude::*;

/// Skip and deep map, concatenated.
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
        /// What the convolutions are computed in.
        pub precision: Precision = from.precision(),
        /// Whether training keeps the convolutions' outputs for the backward pass, or computes them again.
        pub keep: Keep = Keep::default(),
        /// What inference makes of the weights, if they stay as they are.
        folded: [Folded<D>; 2] = [from.folded(), from.folded()],
    }
}

module! {
    /// A decoder step: doubles the deep map, puts the skip beside it, two convolutions.
    pub struct Up<D: Backend> {
        /// The convolutions.
        pub conv("conv.double_conv"): DoubleConv<D>,
    }
}

module! {
    /// 1x1 convolution to `CLASSES` logits, resized to the image.
    pub struct Head<D: Backend; CLASSES> {
        /// `(CLASSES, 64, 1, 1)`.
        pub weight("weight"): Param<(Const<CLASSES>, Mid, Const<1>, Const<1>), D>,
        /// `(CLASSES,)`.
        pub bias("bias"): Param<(Const<CLASSES>,), D>,
    }
}

impl<D: Backend> DoubleConv<D> {
    fn around(&self) -> Around {
        Around { dilation: 1, relu: true, precision: self.precision, keep: self.keep }
    }

    fn infer<B: Dim, H: Dim, T: Inference<D>>(&self, x: &Flow<B, H, Both, D>) -> Result<Map<B, H, Mid, D, T>, D::Err> {
        let [first, second] = &self.folded;
        let x = x.conv_batch_norm(self.norm1.behind(&self.conv1, first, self.around()))?;
        x.conv_batch_norm_map(self.norm2.behind(&self.conv2, second, self.around()))
    }
}

impl<B: Dim, H: Dim, D: Backend, T: Inference<D>> Module<Map<B, H, Both, D, T>> for DoubleConv<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, Both, D, T>) -> Result<Self::Output, D::Err> {
        self.infer(&Flow::of(x)?)
    }
}

impl<B: Dim, H: Dim, D: Backend, T: Training<D>> ModuleMut<Map<B, H, Both, D, T>> for DoubleConv<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, Both, D, T>) -> Result<Self::Output, D::Err> {
        self.folded = [None, None];
        let around = self.around();
        let x = self.norm1.train(x, &self.conv1, around)?;
        self.norm2.train(x, &self.conv2, around)
    }
}

/// Skip and deep map to the next map.
type Join<B, H, D, T> = (Map<B, H, Mid, D, T>, Map<B, <H as Even>::Half, Mid, D, T>);

impl<B: Dim, H: Even, D: Backend, T: Inference<D>> Module<Join<B, H, D, T>> for Up<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward(&self, (skip, deep): Join<B, H, D, T>) -> Result<Self::Output, D::Err> {
        self.conv.infer(&Flow::up2_concat(Flow::of(skip)?, Flow::of(deep)?)?)
    }
}

impl<B: Dim, H: Even, D: Backend, T: Training<D>> ModuleMut<Join<B, H, D, T>> for Up<D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, (skip, deep): Join<B, H, D, T>) -> Result<Self::Output, D::Err> {
        self.conv.try_forward_mut(ops::up2_concat(skip, deep)?)
    }
}

impl<D: Backend, const CLASSES: usize> Head<D, CLASSES> {
    /// Logits at `side`, the image's: `(B, H, H, 64) -> (B, CLASSES, S, S)`.
    ///
    /// # Errors
    /// The device's.
    pub fn to_side<S: Side, B: Dim, H: Dim, T: Tape<f32, D>>(
        &self,
        x: Map<B, H, Mid, D, T>,
        side: S,
    ) -> Result<Masks<B, S, CLASSES, D, T>, D::Err> {
        let x: Map<B, H, Const<CLASSES>, D, T> =
            ops::conv2d(x, &self.weight, Some(&self.bias), 1, false, Precision::F32)?;
        ops::resize(x, side)
    }
}

impl<D: Backend, const CLASSES: usize> NonMutableModule for Head<D, CLASSES> {}
