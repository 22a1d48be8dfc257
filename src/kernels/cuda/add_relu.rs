//! The sum of two maps with a ReLU: the launches of `add_relu.cu`.

use super::buffer::Buffer;
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Kernels, args, kernels};
use super::view::SliceMut;
use crate::kernels::add_relu::AddReluKernel;

pub const ADD_RELU: Kernels = kernels!("add_relu");

impl AddReluKernel for Gpu {
    fn add_relu(&self, a: &Buffer, b: &Buffer, y: SliceMut<'_>) -> Result<(), GpuError> {
        let n = y.len();
        assert!(a.len() == n && b.len() == n);
        // SAFETY: each of the three has `n` numbers, and `y` is borrowed alone.
        unsafe { self.launch_over(n, ADD_RELU, "add_relu", args![n, a, b, &y]) }
    }

    fn add_relu_backward(&self, y: &Buffer, gy: &Buffer, [ga, gb]: [SliceMut<'_>; 2]) -> Result<(), GpuError> {
        let n = y.len();
        assert!(gy.len() == n && ga.len() == n && gb.len() == n);
        // SAFETY: each of the four has `n` numbers, and the gradients are borrowed alone.
        unsafe { self.launch_over(n, ADD_RELU, "add_relu_backward", args![n, y, gy, &ga, &gb]) }
    }
}
