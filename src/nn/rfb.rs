//! The receptive-field block (arXiv 1711.07767, as SAM2-UNet uses it): any number of channels to 64,
//! seen through four branches of growing reach. No activation but the last.

use super::ops::{Flow, Keep};
use super::{Backend, ConvBn, Inference, Map, Mid, Training, ops};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

module! {
    /// A branch of reach `K`: 1x1, then 1xK and Kx1, then 3x3 dilated by `K`.
    pub struct Branch<C: ConstDim, D: Backend; K> {
        /// To 64 channels.
        pub reduce(0): ConvBn<C, Mid, D, 1, 1>,
        /// Along a row.
        pub row(1): ConvBn<Mid, Mid, D, 1, K>,
        /// Along a column.
        pub column(2): ConvBn<Mid, Mid, D, K, 1>,
        /// Wide.
        pub dilated(3): ConvBn<Mid, Mid, D, 3, 3, K>,
    }
}

module! {
    /// Receptive-field block: `(B, H, H, C) -> (B, H, H, 64)`.
    pub struct Rfb<C: ConstDim, D: Backend> {
        /// Reach 1.
        pub branch0("branch0.0"): ConvBn<C, Mid, D, 1, 1>,
        /// Reach 3.
        pub branch1("branch1"): Branch<C, D, 3>,
        /// Reach 5.
        pub branch2("branch2"): Branch<C, D, 5>,
        /// Reach 7.
        pub branch3("branch3"): Branch<C, D, 7>,
        /// The four branches together.
        pub conv_cat("conv_cat"): ConvBn<Const<256>, Mid, D, 3, 3>,
        /// The way past them.
        pub conv_res("conv_res"): ConvBn<C, Mid, D, 1, 1>,
    }
}

impl<C: ConstDim, D: Backend> Rfb<C, D> {
    /// Sets whether training keeps the convolutions' outputs for the backward pass, or computes them again.
    pub fn keep(&mut self, keep: Keep) {
        fn branch<C: ConstDim, D: Backend, const K: usize>(branch: &mut Branch<C, D, K>, keep: Keep) {
            branch.reduce.keep = keep;
            branch.row.keep = keep;
            branch.column.keep = keep;
            branch.dilated.keep = keep;
        }
        self.branch0.keep = keep;
        branch(&mut self.branch1, keep);
        branch(&mut self.branch2, keep);
        branch(&mut self.branch3, keep);
        self.conv_cat.keep = keep;
        self.conv_res.keep = keep;
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, const K: usize> Module<&Flow<B, H, C, D>> for Branch<C, D, K> {
    type Output = Flow<B, H, Mid, D>;
    type Error = D::Err;
    fn try_forward(&self, x: &Flow<B, H, C, D>) -> Result<Self::Output, D::Err> {
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

impl<B: Dim, H: Dim, C: ConstDim, D: Backend, T: Inference<D>> Module<Map<B, H, C, D, T>> for Rfb<C, D> {
    type Output = Map<B, H, Mid, D, T>;
    type Error = D::Err;
    fn try_forward(&self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        let x = &Flow::of(x)?;
        let branches = [
            self.branch0.try_forward(x)?,
            self.branch1.try_forward(x)?,
            self.branch2.try_forward(x)?,
            self.branch3.try_forward(x)?,
        ];
        let seen: Flow<B, H, Const<256>, D> = Flow::concat4(branches)?;
        self.conv_cat.try_forward(&seen)?.add_relu(self.conv_res.try_forward(x)?)
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
        let seen: Map<B, H, Const<256>, D, T> = ops::concat4(branches)?;
        ops::add_relu(self.conv_cat.try_forward_mut(seen)?, self.conv_res.try_forward_mut(x)?)
    }
}
