//! The frozen layers of the trunk.

use crate::nn::backend::bound::Backend;
use crate::nn::ops::adapted_block::{LinearWeights, NormWeights};
use crate::nn::weights::module::module;
use crate::nn::weights::roles::Frozen;
use dfdx::prelude::*;

module! {
    /// A frozen linear layer from `I` to `O` channels.
    pub struct FrozenLinear<I: ConstDim, O: ConstDim, D: Backend> {
        /// `(O, I)`.
        pub weight("weight"): Frozen<(O, I), D>,
        /// `(O,)`.
        pub bias("bias"): Frozen<(O,), D>,
    }
}

module! {
    /// A frozen layer normalisation over `C` channels (eps 1e-6).
    pub struct FrozenNorm<C: ConstDim, D: Backend> {
        /// `(C,)`.
        pub weight("weight"): Frozen<(C,), D>,
        /// `(C,)`.
        pub bias("bias"): Frozen<(C,), D>,
    }
}

impl<I: ConstDim, O: ConstDim, D: Backend> FrozenLinear<I, O, D> {
    /// Its weights, for the operation.
    pub fn weights(&self) -> LinearWeights<'_, I, O, D> {
        LinearWeights(&self.weight, &self.bias)
    }
}

impl<C: ConstDim, D: Backend> FrozenNorm<C, D> {
    /// Its weights, for the operation.
    pub fn weights(&self) -> NormWeights<'_, C, D> {
        NormWeights(&self.weight, &self.bias)
    }
}
