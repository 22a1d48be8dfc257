//! The trainable part of an encoder block.

use super::widths::Hidden;
use crate::nn::backend::bound::Backend;
use crate::nn::ops::adapted_block::AdapterRef;
use crate::nn::weights::module::module;
use crate::nn::weights::roles::Param;
use dfdx::prelude::*;

module! {
    /// An adapter (paper, "Adapter"), `x + gelu(up(gelu(down(x))))`, on maps of `C` channels.
    pub struct Adapter<C: ConstDim, D: Backend> {
        /// `(32, C)`: to the hidden width.
        pub down_weight("0.weight"): Param<(Hidden, C), D>,
        /// `(32,)`.
        pub down_bias("0.bias"): Param<(Hidden,), D>,
        /// `(C, 32)`: back to `C` channels.
        pub up_weight("2.weight"): Param<(C, Hidden), D>,
        /// `(C,)`.
        pub up_bias("2.bias"): Param<(C,), D>,
    }
}

impl<C: ConstDim, D: Backend> Adapter<C, D> {
    /// Its tensors, for the operation.
    pub fn weights(&self) -> AdapterRef<'_, C, Hidden, D> {
        AdapterRef { down: (&self.down_weight, &self.down_bias), up: (&self.up_weight, &self.up_bias) }
    }
}
