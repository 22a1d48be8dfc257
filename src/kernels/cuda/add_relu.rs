//! The sum of two maps with a ReLU: the launches of `add_relu.cu`.

use super::address;
use super::buffer::Buffer;
use super::ptx::{Kernels, args, kernels};
use super::view::SliceMut;
use crate::nn::ops::add_relu::AddReluKernel;
use dfdx::prelude::{Cuda, CudaError};

pub const ADD_RELU: Kernels = kernels!("add_relu");

impl AddReluKernel for Cuda {
    fn add_relu(&self, a: &Buffer, b: &Buffer, y: SliceMut<'_>) -> Result<(), CudaError> {
        let n = y.len();
        assert!(a.len() == n && b.len() == n);
        // SAFETY: each of the three has `n` numbers, and `y` is borrowed alone.
        unsafe { address::stream(self)?.launch_over(n, ADD_RELU, "add_relu", args![n, a, b, &y]) }?;
        Ok(())
    }

    fn add_relu_backward(&self, y: &Buffer, gy: &Buffer, [ga, gb]: [SliceMut<'_>; 2]) -> Result<(), CudaError> {
        let n = y.len();
        assert!(gy.len() == n && ga.len() == n && gb.len() == n);
        // SAFETY: each of the four has `n` numbers, and the gradients are borrowed alone.
        unsafe { address::stream(self)?.launch_over(n, ADD_RELU, "add_relu_backward", args![n, y, gy, &ga, &gb]) }?;
        Ok(())
    }
}
