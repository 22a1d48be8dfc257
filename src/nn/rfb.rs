//! The receptive-field block (arXiv 1711.07767, as SAM2-UNet uses it; paper, "RFBs"): any number of channels to 64,
//! through four branches of growing reach. No ReLU but the last.

use super::backend::bound::Backend;
use super::backend::tape::{Inference, Training};
use super::layers::conv_norm::ConvNorm;
use super::layers::widths::Mid;
use super::ops::activation::Activation;
use super::ops::add_relu::add_relu;
use super::ops::concat::concat4;
use super::shape::Map;
use super::weights::module::module;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

module! {
    /// A branch of reach `K`: 1x1, then 1xK and Kx1, then 3x3 dilated by `K`.
    pub struct Branch<C: ConstDim, D: Backend; K> {
        /// To 64 channels.
        pub reduce(0): ConvNorm<C, Mid, D, 1, 1>,
        /// 1xK, along a row.
        pub row(1): ConvNorm<Mid, Mid, D, 1, K>,
        /// Kx1, along a column.
        pub column(2): ConvNorm<Mid, Mid, D, K, 1>,
        /// 3x3, dilated by `K`.
        pub dilated(3): ConvNorm<Mid, Mid, D, 3, 3, K>,
    }
}

module! {
    /// Receptive-field block: `(B, H, H, C) -> (B, H, H, 64)`.
    pub struct Rfb<C: ConstDim, D: Backend> {
        /// Reach 1.
        pub branch0("branch0.0"): ConvNorm<C, Mid, D, 1, 1>,
        /// Reach 3.
        pub branch1("branch1"): Branch<C, D, 3>,
        /// Reach 5.
        pub branch2("branch2"): Branch<C, D, 5>,
        /// Reach 7.
        pub branch3("branch3"): Branch<C, D, 7>,
        /// Joins the concatenated branches.
        pub conv_cat("conv_cat"): ConvNorm<Const<256>, Mid, D, 3, 3>,
        /// The shortcut.
        pub conv_res("conv_res"): ConvNorm<C, Mid, D, 1, 1>,
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, const K: usize> Module<&Activation<B, H, C, D>> for Branch<C, D, K> {
    type Output = Activation<B, H, Mid, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        let x = self.reduce.try_forward(x)?;
        let x = self.row.try_forward(&x)?;
        let x = self.column.try_forward(&x)?;
        self.dilated.try_forward(&x)
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Training<D>, const K: usize> ModuleMut<Map<B, H, C, D, T>>
    for Branch<C, D, K>
{
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        let x = self.reduce.try_forward_mut(x)?;
        let x = self.row.try_forward_mut(x)?;
        let x = self.column.try_forward_mut(x)?;
        self.dilated.try_forward_mut(x)
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend> Module<&Activation<B, H, C, D>> for Rfb<C, D> {
    type Output = Activation<B, H, Mid, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        let branches = [
            self.branch0.try_forward(x)?,
            self.branch1.try_forward(x)?,
            self.branch2.try_forward(x)?,
            self.branch3.try_forward(x)?,
        ];
        let branches: Activation<B, H, Const<256>, D> = Activation::concat4(branches)?;
        self.conv_cat.try_forward(&branches)?.add_relu(&self.conv_res.try_forward(x)?)
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Inference<D>> Module<Map<B, H, C, D, T>> for Rfb<C, D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        self.try_forward(&Activation::from_map(x)?)?.into_map()
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Training<D>> ModuleMut<Map<B, H, C, D, T>> for Rfb<C, D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        let branches = [
            self.branch0.try_forward_mut(x.with_empty_tape())?,
            self.branch1.try_forward_mut(x.with_empty_tape())?,
            self.branch2.try_forward_mut(x.with_empty_tape())?,
            self.branch3.try_forward_mut(x.with_empty_tape())?,
        ];
        let branches: Map<B, H, Const<256>, D, T> = concat4(branches)?;
        add_relu(self.conv_cat.try_forward_mut(branches)?, self.conv_res.try_forward_mut(x)?)
    }
}
