//! The receptive-field block (arXiv 1711.07767, as SAM2-UNet uses it): any number of channels to 64,
//! seen through four branches of growing reach. No activation but the last.

use super::{Backend, ConvBn, Map, Mid, ops};
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

forward! { [B: Dim, H: Dim, C: ConstDim, const K: usize] Branch<C, D, K>:
    |self, x, run| Map<B, H, C, D, T> => Map<B, H, Mid, D, T> {
        let x = run!(self.reduce, x);
        let x = run!(self.row, x);
        let x = run!(self.column, x);
        Ok(run!(self.dilated, x))
    }
}

forward! { [B: Dim, H: Dim, C: ConstDim] Rfb<C, D>:
    |self, x, run| Map<B, H, C, D, T> => Map<B, H, Mid, D, T> {
        let branches = [
            run!(self.branch0, x.with_empty_tape()),
            run!(self.branch1, x.with_empty_tape()),
            run!(self.branch2, x.with_empty_tape()),
            run!(self.branch3, x.with_empty_tape()),
        ];
        let seen: Map<B, H, Const<256>, D, T> = ops::concat4(branches)?;
        ops::add_relu(run!(self.conv_cat, seen), run!(self.conv_res, x))
    }
}
