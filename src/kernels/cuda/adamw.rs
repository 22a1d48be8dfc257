//! A step of AdamW: the launch of `adamw.cu`.

use super::buffer::Buffer;
use super::error::GpuError;
use super::gpu::Gpu;
use super::ptx::{Kernels, args, kernels};
use super::view::SliceMut;
use crate::kernels::adamw::{AdamWKernel, AdamWStep};

const ADAMW: Kernels = kernels!("adamw");

impl AdamWKernel for Gpu {
    fn adamw(
        &self,
        s: &AdamWStep,
        old: &Buffer,
        g: &Buffer,
        [first, second]: [SliceMut<'_>; 2],
        weight: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let n = weight.len();
        assert!(old.len() == n && g.len() == n && first.len() == n && second.len() == n);
        let [keep, first_new, second_keep, second_new] = [s.keep, s.first_new, s.second_keep, s.second_new];
        let [scale, epsilon, step] = [s.second_scale, s.epsilon, s.step_size];
        let args =
            args![n, keep, first_new, second_keep, second_new, scale, epsilon, step, old, g, &first, &second, &weight];
        // SAFETY: each of the five has `n` numbers, and those that are written are borrowed alone.
        unsafe { self.launch_over(n, ADAMW, "adamw", args) }
    }
}
