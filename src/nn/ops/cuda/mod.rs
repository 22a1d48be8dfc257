//! The operations' kernels on NVIDIA GPUs: device addresses and plain numbers, launched in the order of dfdx's own
//! work. No sum depends on the order in which threads finish.

mod gemm;
mod launch;
mod memory;

use super::add_relu::AddReluKernel;
use dfdx::prelude::*;
use launch::{Kernels, Stream, args, kernels};
use memory::{Out, View};

type Done = Result<(), CudaError>;

const ADD_RELU: Kernels = kernels!("add_relu");

impl AddReluKernel for Cuda {
    fn add_relu(&self, a: &View, b: &View, y: Out<'_>) -> Done {
        let n = y.len();
        assert!(a.len() == n && b.len() == n);
        // SAFETY: each of the three has `n` numbers, and `y` is borrowed alone.
        unsafe { Stream::of(self)?.launch_over(n, ADD_RELU, "add_relu", args![n, a, b, &y]) }
    }

    fn add_relu_backward(&self, y: &View, gy: &View, [ga, gb]: [Out<'_>; 2]) -> Done {
        let n = y.len();
        assert!(gy.len() == n && ga.len() == n && gb.len() == n);
        // SAFETY: each of the four has `n` numbers, and the gradients are borrowed alone.
        unsafe { Stream::of(self)?.launch_over(n, ADD_RELU, "add_relu_backward", args![n, y, gy, &ga, &gb]) }
    }
}
